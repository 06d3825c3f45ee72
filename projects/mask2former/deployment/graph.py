"""What an exported file computes: from pixels to class and mask logits."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from mmdet.models.backbones.swin import ShiftWindowMSA
from torch import Tensor, nn

from mask2former.errors import ConfigError
from mask2former.models.backbones.plain_vit import PlainViT, resize_positions
from mask2former.models.data_preprocessor import SegDataPreprocessor
from mask2former.models.encoder_only_head import EncoderOnlyHead
from mask2former.models.pixel_decoder.encoder import MSDeformAttn
from mask2former.models.video import is_of_images


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
def exportable(model: nn.Module, size: tuple[int, int]) -> Iterator[None]:
    """Within it, the model computes in the form that is exported, for inputs of ``size`` (H, W).

    Deformable attention gathers rows, learned positions have the size's grid, what EoMT masks is no tensor, and mmdet's
    Swin, which counts windows with float numbers, leaves the batch open.
    """
    with ExitStack() as stack:
        for part in model.modules():
            if isinstance(part, MSDeformAttn):
                stack.callback(setattr, part, 'backend', part.backend)
                part.backend = 'gather'
            elif isinstance(part, PlainViT) and part.positions is not None:
                rows, columns = (side // part.patch_size for side in size)
                fitting = nn.Parameter(resize_positions(part.positions.detach(), (rows, columns)), requires_grad=False)
                stack.callback(setattr, part, 'positions', part.positions)
                part.positions = fitting
            elif isinstance(part, ShiftWindowMSA):
                stack.callback(delattr, part, 'window_reverse')
                part.window_reverse = join_windows
            elif isinstance(part, EncoderOnlyHead):
                stack.callback(delattr, part, 'probabilities')  # the method is seen again
                part.probabilities = part.probabilities().copy  # type: ignore[method-assign]
        yield


def join_windows(windows: Tensor, H: int, W: int) -> Tensor:
    """A map (B, H, W, C) of its windows (B*n, side, side, C), row after row of windows."""
    side = windows.shape[1]
    grid = windows.unflatten(0, (-1, H // side, W // side))  # (B, H/side, W/side, side, side, C)
    return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def example(size: tuple[int, int], batch_size: int = 2) -> Tensor:
    """Pixels (B, 3, H, W) of noise."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch_size, 3, *size), generator=generator).float()
