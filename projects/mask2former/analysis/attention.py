"""Where the queries look: weights of cross-attention, computed once more beside the model, which stays as it is."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mask2former.errors import ConfigError
from mask2former.models import EncoderOnlyHead, MaskedAttentionHead
from mask2former.models.decoder_layer import DecoderLayer
from mask2former.models.layers import Attention

from .block_attention import record_blocks
from .layer_attention import LayerAttention


@contextmanager
def record_attention(head: nn.Module) -> Iterator[Sequence[LayerAttention]]:
    """While it is open, the list has the attention of every layer, or block, of the head's last call.

    Args:
        head: A :class:`~mask2former.models.MaskedAttentionHead` or a :class:`~mask2former.models.EncoderOnlyHead`.

    Raises:
        ConfigError: If the head is another one.
    """
    if isinstance(head, EncoderOnlyHead):
        with record_blocks(head) as blocks:
            yield blocks
    elif isinstance(head, MaskedAttentionHead):
        with _record_layers(head) as layers:
            yield layers
    else:
        raise ConfigError(
            f'Attention is followed in a MaskedAttentionHead or an EncoderOnlyHead, but the model has a '
            f'{type(head).__name__}: give the config of a model with such a head.'
        )


@contextmanager
def _record_layers(head: MaskedAttentionHead) -> Iterator[list[LayerAttention]]:
    schedule = head.level_schedule
    records: list[LayerAttention] = []
    sizes: list[tuple[int, int]] = []

    def begin(module: nn.Module, inputs: tuple) -> None:
        records.clear()
        sizes[:] = [tuple(x.shape[-2:]) for x in inputs[1]]

    def record(module: Attention, inputs: tuple) -> None:
        query, key, _, mask = inputs
        index = schedule if isinstance(schedule, int) else len(records) % len(sizes)
        used = list(sizes) if schedule == 'concat' else [sizes[index]]
        records.append(LayerAttention(module, query.detach(), key.detach(), None if mask is None else mask[:, 0], used))

    with ExitStack() as hooks:
        hooks.callback(head.register_forward_pre_hook(begin).remove)
        for layer in cast(Iterable[DecoderLayer], head.layers):
            hooks.callback(layer.cross_attn.register_forward_pre_hook(record).remove)
        yield records


def covered_shares(masks: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
    """How much of each token's cell a mask covers.

    Args:
        masks: (n, H, W) bool.
        sizes: (h, w) of the levels, which divide (H, W).

    Returns:
        Tensor: (n, S), from 0 to 1.
    """
    return torch.cat([F.adaptive_avg_pool2d(masks[:, None].float(), size).flatten(1) for size in sizes], dim=1)


def mass_inside(attention: LayerAttention, b: int, queries: Tensor, masks: Tensor) -> Tensor:
    """The share of some queries' attention that lies in their objects (paper, figure I of the appendix).

    Args:
        attention: Of a layer.
        b: Which image.
        queries: (n,) of the queries.
        masks: (n, H, W) bool, their objects, of the size of the network's input.

    Returns:
        Tensor: (n,), from 0 to 1. A cell that is half covered counts half.
    """
    return (attention.weights[b, queries] * covered_shares(masks, attention.sizes)).sum(-1)
