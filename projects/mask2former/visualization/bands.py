"""What a picture shows of an image of any number of bands and of any type."""

from collections.abc import Sequence

import cv2
import numpy as np

from mask2former.errors import ConfigError

# Values of a band that become black and white: these percentiles of it.
DARKEST, BRIGHTEST = 2, 98


def as_rgb(image: np.ndarray, bands: Sequence[int] | None = None) -> np.ndarray:
    """Show an image as one of three channels.

    uint8 values stay as they are; each band of another type is stretched from its 2nd to its 98th percentile.

    Args:
        image: (H, W) or (H, W, N) numbers.
        bands: Which three of the N bands are red, green and blue, or which one is grey, from 0; by default the first
            three, or of less than three bands the first.

    Returns:
        np.ndarray: (H, W, 3) uint8.

    Raises:
        ConfigError: If it is no such image or does not have these bands.
    """
    if image.ndim not in (2, 3) or not image.size or image.dtype.kind not in 'uif':
        raise ConfigError(
            f'An image to draw on must be of shape (H, W) or (H, W, N) and hold numbers, but it is {image.dtype} of '
            f'shape {image.shape}; convert it first.'
        )
    planes = image.reshape(*image.shape[:2], -1)
    count = planes.shape[2]
    if bands is None:
        bands = (0, 1, 2) if count >= 3 else (0,)
    check_bands(bands)
    if not all(0 <= band < count for band in bands):
        raise ConfigError(
            f'The bands to be shown are {tuple(bands)}, but the image has {count}: give one or three of 0 to '
            f'{count - 1}.'
        )
    if tuple(bands) != tuple(range(count)):
        planes = planes[..., list(bands)]
    if planes.dtype != np.uint8:
        planes = stretch(planes)
    if len(bands) == 1:
        return cv2.cvtColor(np.ascontiguousarray(planes[..., 0]), cv2.COLOR_GRAY2RGB)
    return planes


def check_bands(bands: Sequence[int]) -> None:
    """See that one or three bands are to be shown.

    Raises:
        ConfigError: If they are not.
    """
    if len(bands) not in (1, 3):
        raise ConfigError(f'The bands to be shown are {tuple(bands)}: give one, which is grey, or three.')


def stretch(planes: np.ndarray) -> np.ndarray:
    """(H, W, N) numbers to (H, W, N) uint8: of each band a percentile is 0, another 255. A band of one value is 0."""
    values = planes.astype(np.float64)
    low, high = np.percentile(values, (DARKEST, BRIGHTEST), axis=(0, 1))  # (N,) each
    span = np.where(high > low, high - low, 1)
    return np.clip(np.rint((values - low) * (255 / span)), 0, 255).astype(np.uint8)
