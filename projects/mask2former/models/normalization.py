"""How images are normalised: what a backbone's weights ask for, and whether the config does so."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import nn

from mask2former.errors import ConfigError

from .backbones.input_conv import image_channels

SIXTEEN_BIT = 257.0  # 65535 / 255


class Normalization(NamedTuple):
    """What the description of pretrained weights says: ``(image - mean) / std``, of images in 0 .. 255.

    Attributes:
        mean: Mean of R, G and B.
        std: Standard deviation of R, G and B.
        source: Who says so, for messages.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str

    @classmethod
    def of_unit(cls, mean: Sequence[float], std: Sequence[float], source: str, scale: float = 255.0) -> 'Normalization':
        """From a mean and a deviation of images that were divided by ``scale``."""
        return cls(tuple(scale * x for x in mean), tuple(scale * x for x in std), source)

    def agrees(self, mean: Sequence[float], std: Sequence[float]) -> bool:
        """Whether these are the same but for rounding (123.68 is 0.485 x 255), of images of 8 or of 16 bit."""
        ours, theirs = (*self.mean, *self.std), (*mean, *std)
        return len(ours) == len(theirs) and any(
            all(abs(a - b / scale) < 0.1 for a, b in zip(ours, theirs)) for scale in (1.0, SIXTEEN_BIT)
        )


def with_normalization(data_preprocessor: Mapping, backbone: nn.Module) -> dict:
    """The preprocessor's config, in which ``mean`` and ``std`` that it leaves out are those of the backbone's weights.

    Raises:
        ConfigError: If images have other than three bands, and ``mean`` or ``std`` is left out.
    """
    left_out = {'mean', 'std'} - {key for key, value in data_preprocessor.items() if value is not None}
    channels = image_channels(backbone)
    if left_out and channels != 3:
        raise ConfigError(
            f'The backbone takes images of {channels} bands, so model.data_preprocessor needs mean and std of '
            f'{channels} entries each, in the units of the images: measure them on the training images.'
        )
    normalization: Normalization | None = getattr(backbone, 'normalization', None)
    kept = {key: value for key, value in data_preprocessor.items() if key not in left_out}
    return kept if normalization is None else {'mean': normalization.mean, 'std': normalization.std, **kept}


def check_normalization(data_preprocessor: nn.Module, backbone: nn.Module) -> None:
    """See that images are normalised as the backbone needs them.

    Raises:
        ConfigError: If the number of bands, mean, deviation or the order of colours is another.
    """
    mean, std = (getattr(data_preprocessor, name, None) for name in ('mean', 'std'))
    if mean is None or std is None or mean.is_meta:  # it does not normalise, or it is built without memory
        return
    mean, std = mean.flatten().tolist(), std.flatten().tolist()
    channels = image_channels(backbone)
    if not len(mean) == len(std) == channels:
        raise ConfigError(
            f'The backbone takes images of {channels} bands, but mean and std of model.data_preprocessor have '
            f'{len(mean)} and {len(std)} entries: give one for each band, and in_channels to the backbone.'
        )
    normalization: Normalization | None = getattr(backbone, 'normalization', None)
    if normalization is None or channels != len(normalization.mean):
        return
    if not normalization.agrees(mean, std):
        raise ConfigError(
            f'model.data_preprocessor has mean={_rounded(mean)} and std={_rounded(std)}, but {normalization.source} '
            f'says mean={_rounded(normalization.mean)} and std={_rounded(normalization.std)}: write these, or leave '
            'both out where the backbone is given by its name alone.'
        )
    if not getattr(data_preprocessor, 'bgr_to_rgb', True):
        raise ConfigError(
            f'model.data_preprocessor has bgr_to_rgb=False, but {normalization.source} is of RGB images: leave it out.'
        )


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(value, 3) for value in values)
