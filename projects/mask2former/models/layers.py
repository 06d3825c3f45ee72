"""The small layers that the pixel decoder and the head share."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mask2former.ops.feed_forward import feed_forward
from mask2former.ops.linear import Linear
from mask2former.ops.precision import full_dtype


def run(module: Callable[..., Tensor], *inputs: object, recompute: bool, random: bool = False) -> Tensor:
    """Call a module; with ``recompute`` its inside is not kept but computed once more in the backward pass.

    ``random`` says that the module draws random numbers (dropout): the second time it gets the same ones.
    """
    if recompute and torch.is_grad_enabled():
        return checkpoint(module, *inputs, use_reentrant=False, preserve_rng_state=random)
    return module(*inputs)


def sine_position(h: int, w: int, channels: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Sine position encoding, normalised to the size of the map (Carion et al., DETR, arXiv 2005.12872).

    Args:
        h: Height of the feature map.
        w: Width of the feature map.
        channels: C, a multiple of 4; the first half encodes y, the second x.
        device: Where to put it.
        dtype: Its type.

    Returns:
        Tensor: (C, h, w).
    """
    half = channels // 2
    y = sine_encoding(h, half, device, dtype).T[:, :, None].expand(half, h, w)
    x = sine_encoding(w, half, device, dtype).T[:, None, :].expand(half, h, w)
    return torch.cat((y, x))


def sine_encoding(size: int, channels: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Sines and cosines (size, channels) of the positions 1 to ``size``, normalised to ``size``."""
    exact = full_dtype(dtype)  # half precision is too coarse for positions
    frequency = 10000 ** (2 * (torch.arange(channels, device=device, dtype=exact) // 2) / channels)
    position = torch.arange(1, size + 1, device=device, dtype=exact)
    angle = (position / (size + 1e-6) * 2 * math.pi)[:, None] / frequency  # (size, channels)
    return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1).to(dtype)


class MemoryPart(NamedTuple):
    """A part of what is attended to.

    Attributes:
        tokens: (B, s, C).
        positions: (s, C).
        mask: (B, 1, Q, s) bool, True where a query may look; None for everywhere.
    """

    tokens: Tensor
    positions: Tensor
    mask: Tensor | None


class Attention(nn.Module):
    """Multi-head attention with a boolean mask that all heads share; no weights are returned.

    Args:
        embed_dims: C.
        num_heads: Number of heads.
        dropout: Share of the attention weights that are zeroed in training.
    """

    def __init__(self, embed_dims: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.q_proj = Linear(embed_dims, embed_dims)
        self.k_proj = Linear(embed_dims, embed_dims)
        self.v_proj = Linear(embed_dims, embed_dims)
        self.out_proj = Linear(embed_dims, embed_dims)

    def init_weights(self) -> None:
        """As the reference: q, k and v are one (3C, C) matrix to Xavier, hence the smaller gain."""
        for proj in (self.q_proj, self.k_proj, self.v_proj):
            nn.init.xavier_uniform_(proj.weight, gain=1 / math.sqrt(2))
        nn.init.xavier_uniform_(self.out_proj.weight)
        for proj in (self.q_proj, self.k_proj, self.v_proj, self.out_proj):
            nn.init.zeros_(proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            query: (B, Q, C).
            key: (B, S, C).
            value: (B, S, C).
            mask: (B, 1, Q, S) bool, True where a query may look.

        Returns:
            Tensor: (B, Q, C).
        """
        q, k, v = (
            self._split(proj(x))  # (B, heads, Q or S, C/heads)
            for proj, x in ((self.q_proj, query), (self.k_proj, key), (self.v_proj, value))
        )
        dropout = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return self.out_proj(out.transpose(1, 2).flatten(2))

    def over_parts(self, query: Tensor, parts: Iterable[MemoryPart]) -> Tensor:
        """Attend from queries (B, Q, C) to a memory that comes part by part, for which there is never a weight of all.

        The softmax over all parts is that of what was seen so far, corrected when a larger logit comes (Milakov and
        Gimelshein, arXiv 1805.02867). For inference: without dropout.
        """
        q = self._split(self.q_proj(query)) * (query.shape[-1] // self.num_heads) ** -0.5  # (B, heads, Q, C/heads)
        largest = q.new_full((*q.shape[:3], 1), -math.inf)  # (B, heads, Q, 1)
        exact = full_dtype(q.dtype)  # in half precision a sum of many weights is infinite, or does not grow any more
        total, out = torch.zeros_like(largest, dtype=exact), torch.zeros_like(q, dtype=exact)
        for tokens, positions, mask in parts:
            k, v = self._split(self.k_proj(tokens + positions)), self._split(self.v_proj(tokens))
            logits = q @ k.transpose(2, 3)  # (B, heads, Q, s)
            if mask is not None:
                logits.masked_fill_(~mask, -math.inf)
            larger = torch.maximum(largest, logits.amax(-1, keepdim=True))
            base = larger.clamp(min=torch.finfo(larger.dtype).min)  # where a query saw nothing yet
            shrink = (largest - base).exp()
            weights = logits.sub_(base).exp_()
            total = total * shrink + weights.sum(-1, keepdim=True, dtype=exact)
            out = out * shrink + (weights @ (v / 64)).to(exact)  # of a part, too, the sum is to stay finite
            largest = larger
        return self.out_proj((64 * out / total).to(q.dtype).transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(B, n, C) to (B, heads, n, C/heads)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class FFN(nn.Module):
    """Two linear layers with a ReLU between, added to the input and normalised (post-norm).

    Args:
        embed_dims: C.
        hidden_dims: Width between the two layers.
        dropout: Share of the values after each layer that are zeroed in training.
    """

    def __init__(self, embed_dims: int, hidden_dims: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.linear1 = Linear(embed_dims, hidden_dims)
        self.linear2 = Linear(hidden_dims, embed_dims)
        self.norm = nn.LayerNorm(embed_dims)

    def init_weights(self) -> None:
        """Xavier for the weights; biases keep PyTorch's initialisation, as in the reference."""
        nn.init.xavier_uniform_(self.linear1.weight)
        nn.init.xavier_uniform_(self.linear2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""
        first, second = self.linear1, self.linear2
        if self.dropout and self.training:
            inner = F.dropout(first(x, relu=True), self.dropout)  # (..., hidden)
            return self.norm(x + F.dropout(second(inner), self.dropout))
        return self.norm(feed_forward(x, first.weight, first.bias, second.weight, second.bias))


class MLP(nn.Sequential):
    """Linear layers with ReLU between them.

    Args:
        in_dims: Input width.
        hidden_dims: Width of the inner layers.
        out_dims: Output width.
        num_layers: Number of linear layers.
    """

    def __init__(self, in_dims: int, hidden_dims: int, out_dims: int, num_layers: int) -> None:
        dims = [in_dims] + [hidden_dims] * (num_layers - 1)
        layers: list[nn.Module] = []
        for d in dims[:-1]:
            layers += [Linear(d, hidden_dims), nn.ReLU(inplace=True)]
        super().__init__(*layers, Linear(dims[-1], out_dims))
