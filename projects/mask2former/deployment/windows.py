"""mmdet's windowed attention of Swin (Liu et al., arXiv 2103.14030) for batches and sizes that may be free."""

import torch
import torch.nn.functional as F
from mmdet.models.backbones.swin import ShiftWindowMSA
from torch import Tensor


def windowed_attention(part: ShiftWindowMSA, query: Tensor, hw_shape: tuple[int, int]) -> Tensor:
    """What ``part.forward`` computes: mmdet's counts windows with float numbers, and its padding is a remainder.

    Args:
        part: Of mmdet's Swin, with its window's side and its shift.
        query: (B, H*W, C).
        hw_shape: H and W.

    Returns:
        Tensor: (B, H*W, C).
    """
    side, shift = part.window_size, part.shift_size
    H, W = hw_shape
    rows, columns = ((length + side - 1) // side for length in hw_shape)
    x = F.pad(query.unflatten(1, (H, W)), (0, 0, 0, columns * side - W, 0, rows * side - H))  # (B, H', W', C)
    mask = None
    if shift:
        x = x.roll((-shift, -shift), (1, 2))
        down, across = (regions(count, side, shift, query.device) for count in (rows, columns))
        region = (3 * down[:, None, :, None] + across[None, :, None, :]).flatten(2).flatten(0, 1)  # (n, side*side)
        mask = torch.where(region[:, None] == region[:, :, None], 0.0, -100.0)
    grid = (
        x.unflatten(2, (columns, side)).unflatten(1, (rows, side)).transpose(2, 3)
    )  # (B, rows, columns, side, side, C)
    attended = part.w_msa(grid.flatten(3, 4).flatten(0, 2), mask=mask)  # (B*n, side*side, C)
    x = join_windows(attended.unflatten(1, (side, side)), rows, columns)  # (B, H', W', C)
    if shift:
        x = x.roll((shift, shift), (1, 2))
    return part.drop(x[:, :H, :W].flatten(1, 2))


def regions(count: int, side: int, shift: int, device: torch.device) -> Tensor:
    """Which pixels of a line of windows (count, side) were neighbours before the shift: those of an equal number."""
    place = torch.arange(count * side, device=device)
    later = (place >= count * side - side).long() + (place >= count * side - shift).long()
    return later.unflatten(0, (count, side))


def join_windows(windows: Tensor, rows: int, columns: int) -> Tensor:
    """A map (B, rows*side, columns*side, C) of its windows (B*rows*columns, side, side, C), row after row."""
    grid = windows.unflatten(0, (-1, rows, columns))  # (B, rows, columns, side, side, C)
    return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2)
