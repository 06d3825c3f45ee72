"""The blocks of a plain vision transformer, which the backbone and the encoder-only head share."""

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mask2former.ops.linear import Linear


class ViTBlock(nn.Module):
    """Self-attention and a feed-forward network, both pre-norm, scaled and added (Touvron et al., arXiv 2103.17239).

    Args:
        embed_dims: C.
        num_heads: Attention heads.
        ffn_dims: Inner width of the feed-forward network.
        gated: Whether that is a :class:`GatedFFN` as in DINOv2's ViT-g, or one with a GELU.
        key_bias: Whether keys have a bias; DINOv3's have none.
        layer_scale: What the scales of both branches start at.
        norm_eps: Epsilon of the norms.
        drop_path: Share of the images for which a branch is left out in training.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        ffn_dims: int,
        gated: bool = False,
        key_bias: bool = True,
        layer_scale: float = 1.0,
        norm_eps: float = 1e-6,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims, eps=norm_eps)
        self.attn = ViTAttention(embed_dims, num_heads, key_bias)
        self.scale1 = nn.Parameter(torch.full((embed_dims,), layer_scale))
        self.norm2 = nn.LayerNorm(embed_dims, eps=norm_eps)
        self.ffn = GatedFFN(embed_dims, ffn_dims) if gated else GELUFFN(embed_dims, ffn_dims)
        self.scale2 = nn.Parameter(torch.full((embed_dims,), layer_scale))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, tokens: Tensor, rotation: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Update all tokens.

        Args:
            tokens: (B, T, C).
            rotation: (2, S, C/heads), see :func:`rotate`; None where positions are in the tokens.
            mask: (B, 1, Q, T) bool, True where the first Q tokens may look; the others look everywhere.

        Returns:
            Tensor: (B, T, C).
        """
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens), rotation, mask) * self.scale1)
        return tokens + self.drop_path(self.ffn(self.norm2(tokens)) * self.scale2)


class ViTAttention(nn.Module):
    """Multi-head self-attention with rotated positions and a mask of the first tokens.

    Args:
        embed_dims: C.
        num_heads: Attention heads.
        key_bias: Whether keys have a bias.
    """

    def __init__(self, embed_dims: int, num_heads: int, key_bias: bool = True) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = Linear(embed_dims, embed_dims)
        self.k_proj = Linear(embed_dims, embed_dims, bias=key_bias)
        self.v_proj = Linear(embed_dims, embed_dims)
        self.out_proj = Linear(embed_dims, embed_dims)

    def forward(self, tokens: Tensor, rotation: Tensor | None, mask: Tensor | None) -> Tensor:
        """Map (B, T, C) to (B, T, C), see :class:`ViTBlock`."""
        q, k, v = (
            proj(tokens).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, heads, T, C/heads)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        if mask is None:
            out = F.scaled_dot_product_attention(q, k, v)
        else:  # a mask of all tokens would be (T / Q) times as large, and true nearly everywhere
            Q = mask.shape[2]
            masked = F.scaled_dot_product_attention(q[:, :, :Q], k, v, attn_mask=mask)
            out = torch.cat((masked, F.scaled_dot_product_attention(q[:, :, Q:], k, v)), dim=2)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class GELUFFN(nn.Module):
    """Two linear layers with a GELU between.

    Args:
        embed_dims: C.
        hidden_dims: Width between the two layers.
    """

    def __init__(self, embed_dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.linear1 = Linear(embed_dims, hidden_dims)
        self.linear2 = Linear(hidden_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""
        return self.linear2(F.gelu(self.linear1(x)))


class GatedFFN(nn.Module):
    """SwiGLU: a linear layer, times the SiLU of another, and a third (Shazeer, arXiv 2002.05202).

    Args:
        embed_dims: C.
        hidden_dims: Width between the layers.
    """

    def __init__(self, embed_dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.gate = Linear(embed_dims, hidden_dims)
        self.linear1 = Linear(embed_dims, hidden_dims)
        self.linear2 = Linear(hidden_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""
        return self.linear2(F.silu(self.gate(x)) * self.linear1(x))


def init_blocks(blocks: nn.ModuleList) -> None:
    """Normal weights of deviation 0.02, zero biases, as usual for vision transformers (timm's, DINOv2's)."""
    for module in blocks.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotate pairs of channels of the last S tokens by angles that grow with the position (RoPE, arXiv 2104.09864).

    Args:
        x: (B, heads, T, d), queries or keys.
        rotation: (2, S, d), cosine and sine of the angles; channel i is paired with channel i + d/2.

    Returns:
        Tensor: (B, heads, T, d).
    """
    cosine, sine = rotation
    S = cosine.shape[0]  # `len` would make a constant of it in an exported file
    others, patches = x.split((x.shape[2] - S, S), dim=2)
    first, second = patches.chunk(2, dim=-1)
    partner = torch.cat((-second, first), dim=-1)
    return torch.cat((others, patches * cosine + partner * sine), dim=2)
