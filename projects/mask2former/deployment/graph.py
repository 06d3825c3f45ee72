"""What an exported file computes: from pixels to class and mask logits."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mask2former.errors import ConfigError
from mask2former.models.data_preprocessor import SegDataPreprocessor
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
def by_gathers(model: nn.Module) -> Iterator[None]:
    """Within it, deformable attention is computed in the form that is exported."""
    layers = [layer for layer in model.modules() if isinstance(layer, MSDeformAttn)]
    backends = [layer.backend for layer in layers]
    try:
        for layer in layers:
            layer.backend = 'gather'
        yield
    finally:
        for layer, backend in zip(layers, backends):
            layer.backend = backend


def example(size: tuple[int, int], batch_size: int = 2) -> Tensor:
    """Pixels (B, 3, H, W) of noise."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch_size, 3, *size), generator=generator).float()
