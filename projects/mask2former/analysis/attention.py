"""Where the queries look: weights of cross-attention, computed once more beside the model, which stays as it is."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mask2former.errors import ConfigError
from mask2former.models import MaskedAttentionHead
from mask2former.models.decoder_layer import DecoderLayer
from mask2former.models.layers import Attention


@dataclass(frozen=True)
class LayerAttention:
    """Cross-attention of one decoder layer.

    Attributes:
        module: What attended.
        query: (B, Q, C), with positions.
        key: (B, S, C), with positions.
        mask: (B, Q, S) bool, True where a query may look; None for everywhere.
        sizes: (h, w) of the level whose tokens S are; of all levels where they are concatenated.
    """

    module: Attention
    query: Tensor
    key: Tensor
    mask: Tensor | None
    sizes: list[tuple[int, int]]

    @cached_property
    def weights(self) -> Tensor:
        """(B, Q, S), the mean over the heads; each row sums to 1."""
        return self._weights(slice(None), slice(None)).mean(1)

    def heads(self, b: int, query: int) -> Tensor:
        """(M, S), the weights of each head of one query of an image; each row sums to 1."""
        return self._weights(slice(b, b + 1), slice(query, query + 1))[0, :, 0]

    @torch.no_grad()
    def _weights(self, images: slice, queries: slice) -> Tensor:
        mask = None if self.mask is None else self.mask[images, None, queries]
        return attention_weights(self.module, self.query[images, queries], self.key[images], mask)


def attention_weights(attention: Attention, query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
    """The weights that an attention gives the keys.

    Args:
        attention: The layer.
        query: (B, Q, C).
        key: (B, S, C).
        mask: (B, 1, Q, S) bool, True where a query may look.

    Returns:
        Tensor: (B, heads, Q, S).
    """
    q, k = (
        proj(x).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)  # (B, heads, Q or S, C/heads)
        for proj, x in ((attention.q_proj, query), (attention.k_proj, key))
    )
    logits = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5  # (B, heads, Q, S)
    if mask is not None:
        logits = logits.masked_fill(~mask, -torch.inf)
    return logits.softmax(-1)


@contextmanager
def record_attention(head: nn.Module) -> Iterator[list[LayerAttention]]:
    """While it is open, the list has the cross-attention of every layer of the head's last call.

    Args:
        head: A :class:`~mask2former.models.MaskedAttentionHead`.

    Raises:
        ConfigError: If the head is another one.
    """
    if not isinstance(head, MaskedAttentionHead):
        raise ConfigError(
            f'Attention is followed in a MaskedAttentionHead, but the model has a {type(head).__name__}: give the '
            'config of a model with a decoder.'
        )
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
