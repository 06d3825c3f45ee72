"""The pixel decoder: a deformable encoder over the coarse levels, then an FPN path down to stride 4."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, caffe2_xavier_init
from torch import Tensor, nn

from mask2former.errors import ConfigError
from mask2former.models.layers import FFN, run, sine_position
from mask2former.ops.linear import PointwiseConv
from mask2former.ops.ms_deform_attn import BACKENDS
from mask2former.ops.precision import full_dtype
from mask2former.registry import MODELS

from .conv_norm import ConvNorm
from .encoder import MSDeformAttn, MSDeformAttnEncoderLayer


@MODELS.register_module()
class MSDeformAttnPixelDecoder(BaseModule):
    """Multi-scale deformable attention pixel decoder (paper section 3.2.1 and appendix A).

    Args:
        in_channels: Channels of the backbone's features, fine to coarse.
        strides: Strides of those features, the first of which gives the mask features.
        embed_dims: C.
        mask_dims: Channels of the mask features.
        num_levels: L, how many of the coarsest features the encoder works on.
        num_layers: Encoder layers.
        num_heads: Heads of deformable attention.
        num_points: Sampling points of a head in a level.
        ffn_dims: Inner width of the encoder's feed-forward networks.
        num_groups: Groups of every GroupNorm.
        attention_backend: What computes deformable attention: 'auto' for the first that runs on the device, or one of
            :func:`mask2former.ops.available_backends`.
        with_cp: Whether to compute each encoder layer once more in the backward pass instead of keeping what is inside:
            less memory, more time.
        full_precision: Whether to compute in the weights' type even where the rest of the model is in half precision
            (autocast), as the reference does: more memory and time.
        init_cfg: mmengine's initialisation config.

    Raises:
        ConfigError: If there is no such backend, or features and settings do not fit each other.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int] = (4, 8, 16, 32),
        embed_dims: int = 256,
        mask_dims: int = 256,
        num_levels: int = 3,
        num_layers: int = 6,
        num_heads: int = 8,
        num_points: int = 4,
        ffn_dims: int = 1024,
        num_groups: int = 32,
        attention_backend: str = 'auto',
        with_cp: bool = False,
        full_precision: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if attention_backend != 'auto' and attention_backend not in BACKENDS:
            raise ConfigError(f"attention_backend must be 'auto' or one of {list(BACKENDS)}, not '{attention_backend}'")
        if len(in_channels) != len(strides):
            raise ConfigError(f'in_channels {tuple(in_channels)} and strides {tuple(strides)} must be of one length')
        if not 1 <= num_levels <= len(in_channels):
            plain = (
                ': a plain ViT wants a SimpleFeaturePyramid around it (docs/backbones.md)'
                if len(in_channels) == 1
                else ''
            )
            raise ConfigError(f'num_levels is {num_levels}, but the backbone gives {len(in_channels)} features{plain}')
        self.with_cp = with_cp
        self.full_precision = full_precision
        self.num_levels = num_levels
        self.embed_dims = embed_dims
        self.mask_dims = mask_dims
        # The encoder's levels go from coarse to fine, the FPN's too.
        coarse_to_fine = list(in_channels)[::-1]
        encoder_channels, fpn_channels = coarse_to_fine[:num_levels], coarse_to_fine[num_levels:]
        self.input_projs = nn.ModuleList(
            ConvNorm(channels, embed_dims, 1, num_groups, bias=True, relu=False) for channels in encoder_channels
        )
        self.level_embed = nn.Parameter(torch.empty(num_levels, embed_dims))
        self.encoder = nn.ModuleList(
            MSDeformAttnEncoderLayer(embed_dims, num_heads, num_levels, num_points, ffn_dims, attention_backend)
            for _ in range(num_layers)
        )
        self.lateral_convs = nn.ModuleList(
            ConvNorm(channels, embed_dims, 1, num_groups, bias=False, relu=False) for channels in fpn_channels
        )
        self.output_convs = nn.ModuleList(
            ConvNorm(embed_dims, embed_dims, 3, num_groups, bias=False, relu=True) for _ in fpn_channels
        )
        self.mask_proj = PointwiseConv(embed_dims, mask_dims)
        nn.init.normal_(self.level_embed)

    def init_weights(self) -> None:
        """Initialise as the reference does."""
        for proj in self.input_projs:
            nn.init.xavier_uniform_(proj.get_parameter('0.weight'))
            nn.init.zeros_(proj.get_parameter('0.bias'))
        for conv in [*self.lateral_convs, *self.output_convs]:
            caffe2_xavier_init(conv.get_submodule('0'))
        caffe2_xavier_init(self.mask_proj)
        nn.init.normal_(self.level_embed)
        for module in self.encoder.modules():
            if isinstance(module, (MSDeformAttn, FFN)):
                module.init_weights()

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Decode.

        Args:
            features: Backbone features (B, in_channels, H/stride, W/stride), fine to coarse.

        Returns:
            tuple: ``mask_features`` (B, mask_dims, h, w) at the finest stride, and ``memory``, L maps
            (B, C, H/stride, W/stride) from coarse to fine for the head to attend to.
        """
        if not self.full_precision:
            return self.decode(features)
        with torch.autocast(self.level_embed.device.type, enabled=False):
            return self.decode([x.to(self.level_embed.dtype) for x in features])

    def decode(self, features: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """As :meth:`forward`, in whatever precision the context asks for."""
        coarse_to_fine = list(features)[::-1]
        inputs = [proj(x) for proj, x in zip(self.input_projs, coarse_to_fine)]
        level_shapes = [tuple(x.shape[-2:]) for x in inputs]
        tokens = torch.cat([x.flatten(2).transpose(1, 2) for x in inputs], dim=1)  # (B, S, C)
        position, reference_points = self.encode_positions(level_shapes, tokens)

        for layer in self.encoder:
            tokens = run(layer, tokens, position, reference_points, level_shapes, recompute=self.with_cp)

        memory = [
            x.transpose(1, 2).unflatten(-1, shape)  # (B, C, h_l, w_l)
            for x, shape in zip(tokens.split([h * w for h, w in level_shapes], dim=1), level_shapes)
        ]
        fine = memory[-1]
        for lateral, output, x in zip(self.lateral_convs, self.output_convs, coarse_to_fine[self.num_levels :]):
            # In one expression: none of these maps, the largest of all, lives longer than it must.
            fine = output(lateral(x).add_(F.interpolate(fine, size=x.shape[-2:], mode='bilinear', align_corners=False)))
        return self.mask_proj(fine), memory

    def encode_positions(self, level_shapes: list[tuple[int, int]], like: Tensor) -> tuple[Tensor, Tensor]:
        """Position and level embedding (S, C), and the reference points (S, 2) of all tokens."""
        position, points = [], []
        exact = full_dtype(self.level_embed.dtype)
        for level, (h, w) in enumerate(level_shapes):
            sine = sine_position(h, w, self.embed_dims, like.device, self.level_embed.dtype)
            position.append(sine.flatten(1).T + self.level_embed[level])
            y = (torch.arange(h, device=like.device, dtype=exact) + 0.5) / h
            x = (torch.arange(w, device=like.device, dtype=exact) + 0.5) / w
            points.append(torch.stack((x.expand(h, w), y[:, None].expand(h, w)), dim=-1).flatten(0, 1))
        return torch.cat(position), torch.cat(points).to(self.level_embed.dtype)
