"""A layer of the transformer decoder (paper section 3.2.2; Carion et al., DETR, for the other order)."""

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn

from .layers import FFN, Attention, MemoryPart


class DecoderLayer(nn.Module):
    """Cross-attention and self-attention, in either order, then the feed-forward network; all post-norm.

    Args:
        embed_dims: C.
        num_heads: Number of heads.
        ffn_dims: Inner width of the feed-forward network.
        cross_first: Whether the queries look at the memory before they look at each other.
        dropout: Share of values that are zeroed in training: of attention weights, of what attentions and network add,
            and inside the network.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, ffn_dims: int, cross_first: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.cross_first = cross_first
        self.dropout = dropout
        self.cross_attn = Attention(embed_dims, num_heads, dropout)
        self.cross_norm = nn.LayerNorm(embed_dims)
        self.self_attn = Attention(embed_dims, num_heads, dropout)
        self.self_norm = nn.LayerNorm(embed_dims)
        self.ffn = FFN(embed_dims, ffn_dims, dropout)

    def forward(
        self,
        query: Tensor,
        query_pos: Tensor,
        memory: Tensor | Iterable[MemoryPart],
        memory_pos: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Update the queries.

        Args:
            query: (B, Q, C).
            query_pos: (Q, C).
            memory: (B, S, C), one level; or its parts, which have positions and masks of their own.
            memory_pos: (S, C).
            mask: (B, 1, Q, S) bool, True where a query may look; None for everywhere.

        Returns:
            Tensor: (B, Q, C).
        """
        if self.cross_first:
            query = self.attend_to_memory(query, query_pos, memory, memory_pos, mask)
            query = self.attend_to_queries(query, query_pos)
        else:
            query = self.attend_to_queries(query, query_pos)
            query = self.attend_to_memory(query, query_pos, memory, memory_pos, mask)
        return self.ffn(query)

    def attend_to_memory(
        self,
        query: Tensor,
        query_pos: Tensor,
        memory: Tensor | Iterable[MemoryPart],
        memory_pos: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Cross-attention: (B, Q, C) to (B, Q, C)."""
        if isinstance(memory, Tensor):
            assert memory_pos is not None
            attended = self.cross_attn(query + query_pos, memory + memory_pos, memory, mask)
        else:
            attended = self.cross_attn.over_parts(query + query_pos, memory)
        return self.cross_norm(query + F.dropout(attended, self.dropout, self.training))

    def attend_to_queries(self, query: Tensor, query_pos: Tensor) -> Tensor:
        """Self-attention: (B, Q, C) to (B, Q, C)."""
        positioned = query + query_pos
        attended = self.self_attn(positioned, positioned, query)
        return self.self_norm(query + F.dropout(attended, self.dropout, self.training))
