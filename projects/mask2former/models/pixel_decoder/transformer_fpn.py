"""The feature pyramid on top of a transformer encoder (Cheng et al., MaskFormer, arXiv 2107.06278, appendix)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mask2former.models.layers import FFN, Attention, run, sine_position
from mask2former.ops.linear import PointwiseConv
from mask2former.registry import MODELS

from .conv_norm import ConvNorm
from .fpn import FPNPixelDecoder


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward network, post-norm (Carion et al., DETR, arXiv 2005.12872).

    Args:
        embed_dims: C.
        num_heads: Number of heads.
        ffn_dims: Inner width of the feed-forward network.
        dropout: Share of values that are zeroed in training, in the places of
            :class:`mask2former.models.decoder_layer.DecoderLayer`.
    """

    def __init__(self, embed_dims: int, num_heads: int, ffn_dims: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.self_attn = Attention(embed_dims, num_heads, dropout)
        self.self_norm = nn.LayerNorm(embed_dims)
        self.ffn = FFN(embed_dims, ffn_dims, dropout)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Update tokens (B, S, C), of positions (S, C)."""
        positioned = tokens + positions
        attended = self.self_attn(positioned, positioned, tokens)
        return self.ffn(self.self_norm(tokens + F.dropout(attended, self.dropout, self.training)))


@MODELS.register_module()
class TransformerFPNPixelDecoder(FPNPixelDecoder):
    """:class:`FPNPixelDecoder` whose coarsest feature goes through a transformer encoder first.

    Args:
        in_channels: Channels of the backbone's features, fine to coarse.
        strides: Strides of those features, the first of which gives the mask features.
        embed_dims: C.
        mask_dims: Channels of the mask features.
        num_groups: Groups of every GroupNorm.
        memory: What the head attends to: 'pyramid' for all maps but the finest, 'top' for what the encoder gives.
        num_layers: Encoder layers.
        num_heads: Their attention heads.
        ffn_dims: Inner width of their feed-forward networks.
        dropout: Share of values that are zeroed in training.
        with_cp: Whether to compute each encoder layer once more in the backward pass instead of keeping what is inside.
        init_cfg: mmengine's initialisation config.

    Raises:
        ConfigError: As the base class.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int] = (4, 8, 16, 32),
        embed_dims: int = 256,
        mask_dims: int = 256,
        num_groups: int = 32,
        memory: str = 'pyramid',
        num_layers: int = 6,
        num_heads: int = 8,
        ffn_dims: int = 2048,
        dropout: float = 0.0,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(in_channels, strides, embed_dims, mask_dims, num_groups, memory, init_cfg)
        self.with_cp = with_cp
        self.dropout = dropout
        self.encoder = nn.ModuleList(EncoderLayer(embed_dims, num_heads, ffn_dims, dropout) for _ in range(num_layers))

    def make_top(self, in_channels: int, num_groups: int) -> None:
        """The projection to the encoder's width, and the convolution after it."""
        self.input_proj = PointwiseConv(in_channels, self.embed_dims)
        self.top_conv = ConvNorm(self.embed_dims, self.embed_dims, 3, num_groups, bias=False, relu=True)

    def init_weights(self) -> None:
        """Initialise as the reference does."""
        super().init_weights()
        for module in self.encoder.modules():
            if isinstance(module, (Attention, FFN)):
                module.init_weights()

    def encode(self, coarsest: Tensor) -> tuple[Tensor, Tensor | None]:
        """The encoder's output (B, C, h_l, w_l); it is what a head attends to that wants one map."""
        x = self.input_proj(coarsest)  # (B, C, h_l, w_l)
        h, w = x.shape[-2:]
        tokens = x.flatten(2).transpose(1, 2)  # (B, S, C)
        positions = sine_position(h, w, self.embed_dims, x.device, self.input_proj.weight.dtype).flatten(1).T  # (S, C)
        for layer in self.encoder:
            tokens = run(layer, tokens, positions, recompute=self.with_cp, random=self.dropout > 0)
        top = tokens.transpose(1, 2).unflatten(-1, (h, w))
        return top, top if self.memory == 'top' else None
