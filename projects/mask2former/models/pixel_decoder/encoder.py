"""The deformable transformer encoder of the pixel decoder (paper section 3.2.1; Deformable DETR)."""

import math

import torch
from torch import Tensor, nn

from mask2former.models.layers import FFN
from mask2former.ops import ms_deform_attn
from mask2former.ops.linear import Linear
from mask2former.ops.reductions import softmax_of_few


class MSDeformAttn(nn.Module):
    """Multi-scale deformable self-attention: every token samples a few points of every level.

    Args:
        embed_dims: C.
        num_heads: M.
        num_levels: L.
        num_points: R, samples of a head in a level.
        backend: Which implementation samples, see :func:`mask2former.ops.ms_deform_attn`.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, num_levels: int, num_points: int, backend: str = 'auto'
    ) -> None:
        super().__init__()
        self.num_heads, self.num_levels, self.num_points = num_heads, num_levels, num_points
        self.backend = backend
        self.sampling_offsets = Linear(embed_dims, num_heads * num_levels * num_points * 2)
        self.attention_weights = Linear(embed_dims, num_heads * num_levels * num_points)
        self.value_proj = Linear(embed_dims, embed_dims)
        self.output_proj = Linear(embed_dims, embed_dims)

    def init_weights(self) -> None:
        """Each head looks into a direction of its own at first, point r at a distance of r + 1 pixels."""
        nn.init.zeros_(self.sampling_offsets.weight)
        angle = torch.arange(self.num_heads, dtype=torch.float32) * (2 * math.pi / self.num_heads)
        direction = torch.stack((angle.cos(), angle.sin()), dim=-1)  # (M, 2)
        direction = direction / direction.abs().max(-1, keepdim=True).values
        distance = torch.arange(1, self.num_points + 1).view(1, 1, -1, 1)
        offsets = direction.view(-1, 1, 1, 2) * distance  # (M, 1, R, 2)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.expand(-1, self.num_levels, -1, -1).flatten())
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for proj in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(proj.weight)
            nn.init.zeros_(proj.bias)

    def forward(
        self, query: Tensor, value: Tensor, reference_points: Tensor, level_shapes: list[tuple[int, int]]
    ) -> Tensor:
        """Attend.

        Args:
            query: (B, S, C), tokens with their positions added.
            value: (B, S, C), tokens.
            reference_points: (S, 2), x and y of every token, 0 to 1.
            level_shapes: L sizes (h, w) that add up to S tokens.

        Returns:
            Tensor: (B, S, C).
        """
        value = self.value_proj(value).unflatten(-1, (self.num_heads, -1))  # (B, S, M, C/M)
        locations, weights = self.samples(query, reference_points, level_shapes)
        return self.output_proj(ms_deform_attn(value, level_shapes, locations, weights, self.backend))

    def samples(
        self, query: Tensor, reference_points: Tensor, level_shapes: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """Where each of the queries samples, and how much each sample counts.

        Args:
            query: (B, N, C), some tokens with their positions added.
            reference_points: (N, 2), x and y of these tokens, 0 to 1.
            level_shapes: L sizes (h, w).

        Returns:
            tuple: Locations (B, N, M, L, R, 2), x and y, 0 to 1 over each level, and weights (B, N, M, L, R), which sum
            to 1 over L and R.
        """
        heads, levels, points = self.num_heads, self.num_levels, self.num_points
        weights = self.attention_weights(query).unflatten(-1, (heads, levels * points))
        weights = softmax_of_few(weights).unflatten(-1, (levels, points))  # (B, N, M, L, R)
        # Sizes and references as long rows, M*L*R*2 each: arithmetic on these is several times faster than on pairs.
        level_wh = level_sizes(level_shapes, reference_points).repeat_interleave(points, dim=0)
        offsets = self.sampling_offsets(query) / level_wh.flatten().repeat(heads)  # (B, N, M*L*R*2)
        locations = offsets + reference_points.repeat(1, heads * levels * points)
        return locations.unflatten(-1, (heads, levels, points, 2)), weights  # (B, N, M, L, R, 2), (B, N, M, L, R)


def level_sizes(level_shapes: list[tuple[int, int]], like: Tensor) -> Tensor:
    """Widths and heights (L, 2) of levels, of the type and on the device of ``like``."""
    if torch.compiler.is_exporting():  # sizes may be free then, and ``new_tensor`` would make constants of them
        sides = [
            torch.scalar_tensor(side, dtype=like.dtype, device=like.device) for h, w in level_shapes for side in (w, h)
        ]
        return torch.stack(sides).view(-1, 2)
    return like.new_tensor([(w, h) for h, w in level_shapes])


class MSDeformAttnEncoderLayer(nn.Module):
    """Deformable self-attention, then the feed-forward network, both post-norm and without dropout.

    Args:
        embed_dims: C.
        num_heads: M.
        num_levels: L.
        num_points: R.
        ffn_dims: Inner width of the feed-forward network.
        attention_backend: Which implementation samples.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        num_levels: int,
        num_points: int,
        ffn_dims: int,
        attention_backend: str = 'auto',
    ) -> None:
        super().__init__()
        self.self_attn = MSDeformAttn(embed_dims, num_heads, num_levels, num_points, attention_backend)
        self.norm = nn.LayerNorm(embed_dims)
        self.ffn = FFN(embed_dims, ffn_dims)

    def forward(
        self, tokens: Tensor, position: Tensor, reference_points: Tensor, level_shapes: list[tuple[int, int]]
    ) -> Tensor:
        """Map tokens (B, S, C) to (B, S, C); ``position`` is (S, C), ``reference_points`` (S, 2)."""
        attended = self.self_attn(tokens + position, tokens, reference_points, level_shapes)
        return self.ffn(self.norm(tokens + attended))
