"""Photometric distortion of SSD (Liu et al., ECCV 2016, section 2.2 and its released code)."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mask2former.errors import ConfigError
from mask2former.registry import TRANSFORMS

SATURATION, HUE = 1, 0  # channels of OpenCV's HSV
IDENTITY = np.arange(256, dtype=np.uint8)


@TRANSFORMS.register_module()
class SSDColorAugmentation(BaseTransform):
    """Changes brightness, contrast, saturation and hue, each in half of the images, as the reference does.

    Contrast comes before or after saturation and hue, each in half of the images. Every step gives whole numbers from 0
    to 255. Unlike mmdet's ``PhotoMetricDistortion``, channels are never swapped, and the hue turns by up to 36 degrees
    each way instead of 18.

    Needs and sets ``img`` ``(H, W, 3)`` uint8 BGR; others have no hue.

    Args:
        brightness_delta: The most that is added to or taken from each channel.
        contrast_range: Least and largest factor of each channel.
        saturation_range: Least and largest factor of the saturation.
        hue_delta: The most that the hue is turned, in steps of 2 degrees.
    """

    def __init__(
        self,
        brightness_delta: float = 32,
        contrast_range: tuple[float, float] = (0.5, 1.5),
        saturation_range: tuple[float, float] = (0.5, 1.5),
        hue_delta: int = 18,
    ) -> None:
        for name, (least, largest) in dict(contrast_range=contrast_range, saturation_range=saturation_range).items():
            if not 0 <= least <= largest:
                raise ConfigError(
                    f'SSDColorAugmentation: {name} is {(least, largest)}; give (least, largest), both 0 or more.'
                )
        if brightness_delta < 0 or not 0 <= hue_delta <= 90:
            raise ConfigError(
                f'SSDColorAugmentation: brightness_delta is {brightness_delta} and hue_delta {hue_delta}; the first '
                'must be 0 or more, the second 0 to 90.'
            )
        self.brightness_delta = brightness_delta
        self.contrast_range = contrast_range
        self.saturation_range = saturation_range
        self.hue_delta = hue_delta

    def transform(self, results: dict) -> dict:
        """Change the colours of one image.

        Raises:
            ConfigError: If it is no uint8 image of three bands.
        """
        image = results['img']
        if image.dtype != np.uint8 or image.shape[2:] != (3,):
            raise ConfigError(
                'SSDColorAugmentation changes the colours of uint8 images of three bands, but this one is '
                f'{image.dtype} of the shape {image.shape}: leave it out of the pipeline.'
            )
        results['img'] = distort(image, **self._draw())
        return results

    @cache_randomness
    def _draw(self) -> dict:
        """The arguments of :func:`distort`; a step that is left out has none."""
        draws = dict(
            brightness=np.random.uniform(-self.brightness_delta, self.brightness_delta),
            contrast=np.random.uniform(*self.contrast_range),
            saturation=np.random.uniform(*self.saturation_range),
            hue=np.random.randint(-self.hue_delta, self.hue_delta + 1),
        )
        chosen = np.random.randint(2, size=len(draws) + 1)
        return dict(
            {name: value for (name, value), taken in zip(draws.items(), chosen) if taken},
            contrast_first=bool(chosen[-1]),
        )


def distort(
    image: np.ndarray,
    brightness: float | None = None,
    contrast: float | None = None,
    saturation: float | None = None,
    hue: int | None = None,
    contrast_first: bool = True,
) -> np.ndarray:
    """Change the colours of an image ``(H, W, 3)`` uint8 BGR; None leaves a step out.

    Args:
        image: It is left as it is.
        brightness: Added to each channel.
        contrast: Factor of each channel.
        saturation: Factor of the saturation.
        hue: Steps of 2 degrees.
        contrast_first: Whether the contrast is changed before saturation and hue.
    """
    if brightness is not None:
        image = cv2.LUT(image, _table(1.0, brightness))
    if contrast is not None and contrast_first:
        image = cv2.LUT(image, _table(contrast))
    if saturation is not None:
        image = _in_hsv(image, SATURATION, _table(saturation))
    if hue is not None:
        image = _in_hsv(image, HUE, ((IDENTITY.astype(int) + hue) % 180).astype(np.uint8))
    if contrast is not None and not contrast_first:
        image = cv2.LUT(image, _table(contrast))
    return image


def _table(factor: float, offset: float = 0.0) -> np.ndarray:
    """What each of the values 0 to 255 becomes: (256,) uint8."""
    return np.clip(IDENTITY.astype(np.float32) * factor + offset, 0, 255).astype(np.uint8)


def _in_hsv(image: np.ndarray, channel: int, table: np.ndarray) -> np.ndarray:
    """Look up one channel of HSV in a table (256,)."""
    tables = np.stack([IDENTITY] * 3, axis=-1)[None]  # (1, 256, 3)
    tables[..., channel] = table
    return cv2.cvtColor(cv2.LUT(cv2.cvtColor(image, cv2.COLOR_BGR2HSV), tables), cv2.COLOR_HSV2BGR)
