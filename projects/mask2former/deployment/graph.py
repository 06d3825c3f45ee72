"""What an exported file computes: from pixels to class and mask logits."""

import functools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.conv2d_adaptive_padding import Conv2dAdaptivePadding
from mmdet.models.backbones.swin import ShiftWindowMSA
from mmdet.models.layers.transformer.utils import AdaptivePadding
from torch import Tensor, nn

from mask2former.errors import ConfigError
from mask2former.models.backbones.efficientnet_lite import SameConvBN
from mask2former.models.backbones.plain_vit import PlainViT
from mask2former.models.data_preprocessor import SegDataPreprocessor
from mask2former.models.encoder_only_head import EncoderOnlyHead
from mask2former.models.pixel_decoder.encoder import MSDeformAttn
from mask2former.models.video import is_of_images

from .preparation import STRIDE, step_of
from .windows import windowed_attention


class RawGraph(nn.Module):
    """A model with its normalisation, ready to be exported.

    Args:
        model: A trained model of images.

    Raises:
        ConfigError: If it is of another kind.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if not is_of_images(model):
            raise ConfigError(
                f'Models of images are exported, as Mask2Former, but this one is a {type(model).__name__}.'
            )
        preprocessor = model.data_preprocessor
        if not isinstance(preprocessor, SegDataPreprocessor):
            raise ConfigError(
                f'The model normalises by {type(preprocessor).__name__}: only SegDataPreprocessor is exported.'
            )
        self.model = model
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer('mean', preprocessor.mean, persistent=False)
        self.register_buffer('std', preprocessor.std, persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The last decoder output.

        Args:
            image: (B, 3, H, W) float32 from 0 to 255, in the order RGB; padded with the mean.

        Returns:
            tuple: Class logits (B, Q, K + 1) and mask logits (B, Q, H/4, W/4).
        """
        return self.model((image - self.mean) / self.std, mode='tensor')


@contextmanager
def exportable(model: nn.Module) -> Iterator[None]:
    """Within it, the model computes in the form that is exported.

    Deformable attention gathers rows, learned positions are resized by products of matrices, what EoMT masks is no
    tensor, mmdet's Swin counts its windows another way, and padding that depends on the size has one width where sides
    are even at every stride.
    """
    even = step_of(model) % STRIDE == 0
    with ExitStack() as stack:
        for part in model.modules():
            if isinstance(part, MSDeformAttn):
                stack.callback(setattr, part, 'backend', part.backend)
                part.backend = 'gather'
            elif isinstance(part, PlainViT):
                stack.callback(delattr, part, 'fit_positions')
                part.fit_positions = resize_positions  # type: ignore[method-assign]
            elif isinstance(part, Conv2dAdaptivePadding) and even:
                stack.callback(delattr, part, 'forward')
                part.forward = functools.partial(padded_conv, part)
            elif isinstance(part, SameConvBN) and part.conv.stride[0] > 1 and even:
                stack.callback(delattr, part, 'padding')
                part.padding = functools.partial(same_padding, part.conv)  # type: ignore[method-assign]
            elif isinstance(part, ShiftWindowMSA):
                stack.callback(delattr, part, 'forward')
                part.forward = functools.partial(windowed_attention, part)
            elif isinstance(part, AdaptivePadding) and even:
                stack.callback(delattr, part, 'get_pad_shape')
                part.get_pad_shape = functools.partial(same_padding, part)
            elif isinstance(part, EncoderOnlyHead):
                stack.callback(delattr, part, 'probabilities')  # the method is seen again
                part.probabilities = part.probabilities().copy  # type: ignore[method-assign]
        yield


def padded_conv(conv: Conv2dAdaptivePadding, x: Tensor) -> Tensor:
    """What the convolution computes of a map (B, C, h, w) whose sides are multiples of the stride."""
    down, across = same_padding(conv)
    # The odd pixel goes to the right and the bottom.
    x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
    return F.conv2d(x, conv.weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups)


def same_padding(part: nn.Conv2d | AdaptivePadding, shape: object = None) -> tuple[int, int]:
    """The padding, down and across, of any map whose sides are multiples of the stride."""
    down, across = (
        max((kernel - 1) * dilation + 1 - stride, 0)
        for kernel, stride, dilation in zip(part.kernel_size, part.stride, part.dilation)
    )
    return down, across


def resize_positions(positions: Tensor, size: tuple[int, int]) -> Tensor:
    """What :func:`mask2former.models.backbones.plain_vit.resize_positions` computes, for sizes that may be free."""
    down, across = (bicubic(cells, wanted).to(positions) for cells, wanted in zip(positions.shape[-2:], size))
    return down @ positions @ across.T


def bicubic(size: int, wanted: int) -> Tensor:
    """The matrix (wanted, size) that resizes a line of values as torch's antialiased bicubic interpolation does.

    Keys' kernel with a = -1/2, stretched where there are fewer values than before; the weights of each sum to 1.
    """
    step = size / wanted
    stretch = torch.scalar_tensor(step).clamp(min=1)
    places = (torch.arange(wanted) + 0.5) * step
    x = ((torch.arange(size) + 0.5 - places[:, None]) / stretch).abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
    return weights / weights.sum(1, keepdim=True)


def example(size: tuple[int, int], batch_size: int = 2) -> Tensor:
    """Pixels (B, 3, H, W) of noise."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch_size, 3, *size), generator=generator).float()


def free_sizes(step: int | None) -> dict[int, object]:
    """What is free in an input (B, 3, H, W): the batch and, unless ``step`` is None, H and W, any multiples of it."""
    free: dict[int, object] = {0: torch.export.Dim('batch', min=1, max=256)}
    if step is not None:
        rows, columns = (torch.export.Dim(name, min=-(-64 // step), max=2**15 // step) for name in ('rows', 'columns'))
        free |= {2: step * rows, 3: step * columns}
    return free
