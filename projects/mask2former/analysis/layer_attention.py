"""The attention of one decoder layer, computed once more beside the model, which stays as it is."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mask2former.models.layers import Attention
from mask2former.models.vit_layers import ViTAttention, rotate


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

    module: Attention | ViTAttention
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


def attention_weights(
    attention: Attention | ViTAttention,
    query: Tensor,
    key: Tensor,
    mask: Tensor | None = None,
    rotation: Tensor | None = None,
) -> Tensor:
    """The weights that an attention gives the keys.

    Args:
        attention: The layer.
        query: (B, Q, C).
        key: (B, S, C).
        mask: (B, 1, Q, S) bool, True where a query may look.
        rotation: Of the last keys, see :func:`~mask2former.models.vit_layers.rotate`; queries have no place.

    Returns:
        Tensor: (B, heads, Q, S).
    """
    q, k = (
        proj(x).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)  # (B, heads, Q or S, C/heads)
        for proj, x in ((attention.q_proj, query), (attention.k_proj, key))
    )
    if rotation is not None:
        k = rotate(k, rotation)
    logits = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5  # (B, heads, Q, S)
    if mask is not None:
        logits = logits.masked_fill(~mask, -torch.inf)
    return logits.softmax(-1)
