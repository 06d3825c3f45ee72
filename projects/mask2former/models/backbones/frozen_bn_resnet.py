"""ResNet whose batch normalisation is frozen, as segmentation models that start from ImageNet weights train it."""

from collections.abc import Sequence

import torch
from mmdet.models.backbones.resnet import BasicBlock, Bottleneck, ResNet
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mask2former.errors import ConfigError
from mask2former.registry import MODELS

from .folded_norm import conv_bn


@MODELS.register_module()
class FrozenBNResNet(ResNet):
    """mmdet's ResNet with frozen BN: the same weights under the same names, the same results.

    A frozen BN is a scale and a shift of each channel. They are multiplied into the convolution before it, whose
    weights still train: there is no pass of BN over the features, and autograd keeps one map for a convolution instead
    of two.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_stages: Stages.
        out_indices: The stages whose features are returned.
        frozen_stages: Stages up to this one are not trained, -1 for none, 0 for the stem.
        style: 'pytorch' has the stride in the 3x3 convolution of a bottleneck, 'caffe' in the 1x1 before it.
        deep_stem: Whether the stem has three convolutions of size 3 instead of one of size 7, as in ResNet-C
            (He et al., arXiv 1812.01187, section 4), and twice the channels.
        multi_grid: Dilations of the 3x3 convolutions of the last stage's blocks, whose stride stays (Chen et al.,
            DeepLabv3, arXiv 1706.05587, section 3.2.1); by default 1.
        with_cp: Whether to compute each block once more in the backward pass instead of keeping its features: less
            memory, more time.
        init_cfg: mmengine's initialisation config.

    Raises:
        ConfigError: If ``multi_grid`` has not one number for each block.
    """

    def __init__(
        self,
        depth: int,
        num_stages: int = 4,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        style: str = 'pytorch',
        deep_stem: bool = False,
        multi_grid: Sequence[int] | None = None,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            depth,
            deep_stem=deep_stem,
            stem_channels=128 if deep_stem else 64,
            num_stages=num_stages,
            strides=(1, 2, 2, 2)[:num_stages],
            dilations=(1,) * num_stages,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            style=style,
            with_cp=with_cp,
            norm_cfg=dict(type='BN', requires_grad=False),
            norm_eval=True,
            init_cfg=init_cfg,
        )
        if multi_grid is not None:
            blocks = getattr(self, self.res_layers[-1])
            if len(multi_grid) != len(blocks):
                raise ConfigError(f'multi_grid has {len(multi_grid)} numbers, the last stage has {len(blocks)} blocks')
            for block, dilation in zip(blocks, multi_grid):
                block.conv2.dilation = block.conv2.padding = (dilation, dilation)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features (B, channels, H/stride, W/stride) of images (B, 3, H, W), fine to coarse."""
        if x.device.type == 'cpu':
            x = x.contiguous(memory_format=torch.channels_last)  # what a convolution of size 1 is a linear map in
        for conv, norm in self.stem_convs():
            x = conv_bn(x, conv, norm, relu=True)  # (B, channels, H/2, W/2)
        x = self.maxpool(x)  # (B, channels, H/4, W/4)
        outs = []
        for i, name in enumerate(self.res_layers):
            for block in getattr(self, name):
                recompute = self.with_cp and torch.is_grad_enabled()
                x = checkpoint(residual_block, x, block, use_reentrant=False) if recompute else residual_block(x, block)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def stem_convs(self) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
        """The stem's convolutions, each with its norm; a ReLU follows."""
        if not self.deep_stem:
            return [(self.conv1, self.norm1)]
        return [(self.stem[i], self.stem[i + 1]) for i in (0, 3, 6)]


def residual_block(x: Tensor, block: BasicBlock | Bottleneck) -> Tensor:
    """One of mmdet's blocks, its norms folded: (B, in, H, W) -> (B, out, H', W')."""
    identity = x if block.downsample is None else conv_bn(x, *block.downsample)
    convs = [(block.conv1, block.norm1), (block.conv2, block.norm2)]
    if hasattr(block, 'conv3'):
        convs.append((block.conv3, block.norm3))
    for conv, norm in convs[:-1]:
        x = conv_bn(x, conv, norm, relu=True)
    return conv_bn(x, *convs[-1], add=identity, relu=True)
