"""What differs between implementations of Swin in more than names: the order of patch merging, and a table."""

import torch
from torch import Tensor

from .key_map import Change


def _merge_order_to_ours(value: Tensor) -> Tensor:
    """Patch merging: theirs holds four blocks of C channels (0,0), (1,0), (0,1), (1,1); ours four offsets a channel,
    (0,0), (0,1), (1,0), (1,1). ``value`` is (..., 4C)."""
    return value.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :].transpose(-1, -2).flatten(-2).contiguous()


def _merge_order_to_theirs(value: Tensor) -> Tensor:
    return value.unflatten(-1, (-1, 4)).transpose(-1, -2)[..., [0, 2, 1, 3], :].flatten(-2).contiguous()


MERGE_ORDER = Change(_merge_order_to_ours, _merge_order_to_theirs)


def relative_position_index(window: int) -> Tensor:
    """Which row of the bias table each pair of a window's tokens takes, (window^2, window^2) int64.

    All implementations agree in it: row ``(dy + w - 1) (2w - 1) + dx + w - 1`` for the offset (dy, dx) from the second
    token to the first.
    """
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing='ij')
    y, x = y.flatten(), x.flatten()
    dy, dx = y[:, None] - y[None, :], x[:, None] - x[None, :]
    return (dy + window - 1) * (2 * window - 1) + dx + window - 1
