"""MaskFormer's pixel decoder, a feature pyramid (Cheng et al., arXiv 2107.06278, section 4.1; paper table 4e)."""

from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.model import BaseModule, caffe2_xavier_init
from torch import Tensor, nn

from mask2former.errors import ConfigError
from mask2former.ops.linear import PointwiseConv, linear
from mask2former.ops.winograd import Conv3x3, conv3x3
from mask2former.registry import MODELS

from .conv_norm import ConvNorm

MEMORIES = ('pyramid', 'top')


@MODELS.register_module()
class FPNPixelDecoder(BaseModule):
    """From the coarsest feature down to the finest: enlarge, add the next finer feature, convolve.

    Args:
        in_channels: Channels of the backbone's features, fine to coarse.
        strides: Strides of those features, the first of which gives the mask features.
        embed_dims: C.
        mask_dims: Channels of the mask features.
        num_groups: Groups of every GroupNorm.
        memory: What the head attends to. 'pyramid' for all maps but the finest, as Mask2Former does; 'top' for one map,
            as MaskFormer does: the backbone's coarsest through a convolution of size 1.
        init_cfg: mmengine's initialisation config.

    Raises:
        ConfigError: If there is no such ``memory``, or the lengths of ``in_channels`` and ``strides`` differ.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int] = (4, 8, 16, 32),
        embed_dims: int = 256,
        mask_dims: int = 256,
        num_groups: int = 32,
        memory: str = 'pyramid',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if memory not in MEMORIES:
            raise ConfigError(f"memory must be 'pyramid' or 'top', not {memory!r}")
        if len(in_channels) != len(strides):
            raise ConfigError(f'in_channels {tuple(in_channels)} and strides {tuple(strides)} must be of one length')
        self.embed_dims, self.mask_dims = embed_dims, mask_dims
        self.memory = memory
        self.num_levels = len(in_channels) - 1 if memory == 'pyramid' else 1
        top, *finer = list(in_channels)[::-1]
        self.make_top(top, num_groups)
        self.lateral_convs = nn.ModuleList(
            ConvNorm(channels, embed_dims, 1, num_groups, bias=False, relu=False) for channels in finer
        )
        self.output_convs = nn.ModuleList(
            ConvNorm(embed_dims, embed_dims, 3, num_groups, bias=False, relu=True) for _ in finer
        )
        self.mask_proj = Conv3x3(embed_dims, mask_dims)

    def make_top(self, in_channels: int, num_groups: int) -> None:
        """Make what the coarsest feature goes through; what a subclass has another way."""
        self.top_conv = ConvNorm(in_channels, self.embed_dims, 3, num_groups, bias=False, relu=True)
        self.memory_proj = PointwiseConv(in_channels, self.embed_dims) if self.memory == 'top' else None

    def init_weights(self) -> None:
        """Initialise as the reference does."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                caffe2_xavier_init(module)

    def forward(self, features: Sequence[Tensor], project: bool = True) -> tuple[Tensor, list[Tensor]]:
        """Decode.

        Args:
            features: Backbone features (B, in_channels, H/stride, W/stride), fine to coarse.
            project: Whether the last convolution is applied; if not, :meth:`form_masks` forms the masks.

        Returns:
            tuple: ``mask_features`` (B, mask_dims, h, w) at the finest stride, or without the last convolution
            (B, C, h, w); and ``memory``, L maps (B, C, H/stride, W/stride) from coarse to fine for the head to attend
            to.
        """
        coarsest, *finer = list(features)[::-1]
        top, attended = self.encode(coarsest)
        x = self.top_conv(top)  # (B, C, h_l, w_l), at every level
        pyramid = [x]
        for lateral, output, feature in zip(self.lateral_convs, self.output_convs, finer):
            x = output(lateral(feature).add_(F.interpolate(x, size=feature.shape[-2:], mode='nearest')))
            pyramid.append(x)
        return self.mask_proj(x) if project else x, pyramid[:-1] if attended is None else [attended]

    def form_masks(self, mask_embed: Tensor, x: Tensor) -> Tensor:
        """Masks (n, h, w) of embeddings (n, mask_dims) and what comes before the last convolution, x (C, h, w).

        A mask is linear in the mask features, and they are in x: each query has a kernel of its own, and the
        convolution has n outputs instead of mask_dims.
        """
        if not len(mask_embed):
            return x.new_zeros(0, *x.shape[1:])
        weight, bias = (part.to(mask_embed.dtype) for part in self.mask_proj.parameters())
        kernels = linear(mask_embed, weight.flatten(1).T).view(-1, *weight.shape[1:])  # (n, C, 3, 3)
        return conv3x3(x[None], kernels, mask_embed @ bias)[0]

    def encode(self, coarsest: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the pyramid begins with, and the one map (B, C, h_l, w_l) to attend to if the pyramid is not that."""
        return coarsest, None if self.memory_proj is None else self.memory_proj(coarsest)
