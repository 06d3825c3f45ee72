"""ResNet whose batch normalisation is frozen, as segmentation models that start from ImageNet weights train it."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mask2former.errors import ConfigError
from mask2former.registry import MODELS

from .folded_norm import conv_bn

# Blocks of the stages, and whether they are bottlenecks (He et al., arXiv 1512.03385, table 1).
DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}


@MODELS.register_module()
class FrozenBNResNet(BaseModule):
    """ResNet with frozen BN; weights have the names, and features the values, of mmdet's and torchvision's.

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
        init_cfg: mmengine's initialisation config; by default He et al.'s for convolutions.

    Raises:
        ConfigError: If there is no such depth, style or stage, or ``multi_grid`` has not one number for each block.
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
        super().__init__(dict(type='Kaiming', layer='Conv2d') if init_cfg is None else init_cfg)
        if depth not in DEPTHS:
            raise ConfigError(f'FrozenBNResNet has no depth {depth}: choose one of {", ".join(map(str, DEPTHS))}.')
        if style not in ('pytorch', 'caffe'):
            raise ConfigError(f"style of a FrozenBNResNet is 'pytorch' or 'caffe', but here '{style}'.")
        if not (1 <= num_stages <= 4 and all(0 <= i < num_stages for i in out_indices) and frozen_stages <= num_stages):
            raise ConfigError(
                f'FrozenBNResNet has 1 to 4 stages, but num_stages is {num_stages}, out_indices {list(out_indices)} '
                f'and frozen_stages {frozen_stages}.'
            )
        self.out_indices = out_indices
        self.with_cp = with_cp
        channels = 128 if deep_stem else 64
        if deep_stem:
            half = channels // 2
            layers: list[nn.Module] = []
            for inputs, outputs, stride in ((3, half, 2), (half, half, 1), (half, channels, 1)):
                conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
                layers += [conv, nn.BatchNorm2d(outputs), nn.ReLU()]
            self.stem = nn.Sequential(*layers)
        else:
            self.conv1 = nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(channels)
        self.deep_stem = deep_stem
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)

        blocks, bottleneck = DEPTHS[depth]
        if multi_grid is not None and len(multi_grid) != blocks[num_stages - 1]:
            raise ConfigError(
                f'multi_grid has {len(multi_grid)} numbers, the last stage has {blocks[num_stages - 1]} blocks'
            )
        self.res_layers = [f'layer{i}' for i in range(1, num_stages + 1)]
        for i, name in enumerate(self.res_layers):
            width, stage = 64 * 2**i, nn.Sequential()
            grid = multi_grid if multi_grid is not None and i == num_stages - 1 else (1,) * blocks[i]
            for j, dilation in enumerate(grid):
                stride = 2 if i > 0 and j == 0 else 1
                stage.append(ResidualBlock(channels, width, stride, dilation, bottleneck, style))
                channels = 4 * width if bottleneck else width
            self.add_module(name, stage)

        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):  # none is ever called, so they keep their statistics, too
                module.requires_grad_(False)
        if frozen_stages >= 0:
            for conv, _ in self.stem_convs():
                conv.requires_grad_(False)
        for name in self.res_layers[: max(frozen_stages, 0)]:
            getattr(self, name).requires_grad_(False)

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
                x = checkpoint(block, x, use_reentrant=False) if recompute else block(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def stem_convs(self) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
        """The stem's convolutions, each with its norm; a ReLU follows."""
        if not self.deep_stem:
            return [(self.conv1, self.bn1)]
        return [(self.stem[i], self.stem[i + 1]) for i in (0, 3, 6)]  # type: ignore[misc]


class ResidualBlock(nn.Module):
    """Two convolutions of size 3, or a bottleneck of sizes 1, 3 and 1, beside a shortcut (arXiv 1512.03385, figure 5).

    Args:
        inputs: Channels in.
        width: Channels of the convolutions of size 3; a bottleneck returns four times as many.
        stride: How much coarser the output is.
        dilation: Of the second convolution.
        bottleneck: Which of the two it is.
        style: Where a bottleneck has its stride, see :class:`FrozenBNResNet`.
    """

    def __init__(self, inputs: int, width: int, stride: int, dilation: int, bottleneck: bool, style: str) -> None:
        super().__init__()
        outputs = 4 * width if bottleneck else width
        if bottleneck:
            first, second = (1, stride) if style == 'pytorch' else (stride, 1)
            self.conv1 = nn.Conv2d(inputs, width, 1, first, bias=False)
        else:
            second = 1
            self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, second, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.bottleneck = bottleneck
        if bottleneck:
            self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H/stride, W/stride)."""
        identity = x if self.downsample is None else conv_bn(x, *self.downsample)
        x = conv_bn(x, self.conv1, self.bn1, relu=True)
        if not self.bottleneck:
            return conv_bn(x, self.conv2, self.bn2, add=identity, relu=True)
        x = conv_bn(x, self.conv2, self.bn2, relu=True)
        return conv_bn(x, self.conv3, self.bn3, add=identity, relu=True)
