"""Geometry of images of any number of bands: OpenCV takes so many at once, and drops the axis of a single one."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from mask2former.errors import ConfigError

# Channels that an image of OpenCV can have, CV_CN_MAX: 128 in version 5, 512 before.
MOST_CHANNELS = 128


def in_groups(image: np.ndarray, change: Callable[[np.ndarray], np.ndarray], most: int = MOST_CHANNELS) -> np.ndarray:
    """``change`` an image ``(H, W, N)``, at most so many of its bands at a time; ``(H, W)`` as it is.

    Args:
        image: It is left as it is.
        change: Gets ``(H, W, n)`` and gives ``(H', W', n)``, or ``(H', W')`` where n is 1.
        most: The largest n.

    Returns:
        np.ndarray: ``(H', W', N)``.
    """
    if image.ndim == 2 or 1 < image.shape[2] <= most:
        return change(image)
    firsts = range(0, image.shape[2], most)
    groups = [change(np.ascontiguousarray(image[..., first : first + most])) for first in firsts]
    return np.concatenate([group.reshape(*group.shape[:2], -1) for group in groups], axis=2)


def pad(image: np.ndarray, size: Sequence[int], value: float | Sequence[float], name: str) -> np.ndarray:
    """Pad an image ``(h, w)`` or ``(h, w, N)`` at the bottom and right to the size ``(H, W)``.

    Args:
        image: It is left as it is.
        size: ``(H, W)``; a side that is longer already stays.
        value: What is beyond the image: a number, or one for each band.
        name: Where the value is set, for the message.

    Raises:
        ConfigError: If there are values for another number of bands.
    """
    height, width = image.shape[:2]
    bands = image.shape[2] if image.ndim == 3 else 1
    values = tuple(value) if isinstance(value, Sequence) else (value,) * bands
    if len(values) != bands:
        raise ConfigError(
            f'{name} has {len(values)} values, but the image has {bands} bands: give one for each band, such as the '
            'mean of model.data_preprocessor, which is zero after normalisation, or a single number.'
        )
    below, beside = max(size[0] - height, 0), max(size[1] - width, 0)
    if not below and not beside:
        return image
    if image.ndim == 2 or 1 < bands <= 4:  # as many as OpenCV has values for
        return cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=values)
    fill = np.array(values, dtype=np.float64)
    if image.dtype.kind in 'ui':  # as OpenCV rounds
        limits = np.iinfo(image.dtype)
        fill = np.clip(np.rint(fill), limits.min, limits.max)
    padded = np.empty((height + below, width + beside, bands), dtype=image.dtype)
    padded[:height, :width] = image
    padded[height:] = fill
    padded[:height, width:] = fill
    return padded
