"""Mean and deviation of the bands of many images, summed image by image."""

from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """What mean and deviation follow from.

    Attributes:
        pixels: Their number.
        mean: ``(N,)``.
        squares: ``(N,)``, the sum of the squared distances from the mean.
    """

    pixels: int
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray) -> 'Moments':
        """Those of the bands of an image ``(H, W, N)``."""
        values = image.reshape(-1, image.shape[2])  # (pixels, N)
        mean = values.mean(axis=0, dtype=np.float64)
        squares = np.array([np.square(values[:, i] - mean[i]).sum() for i in range(len(mean))])
        return cls(len(values), mean, squares)

    def __add__(self, other: 'Moments') -> 'Moments':  # type: ignore[override]
        """Those of both together (Chan, Golub and LeVeque, 1979)."""
        count = self.pixels + other.pixels
        step = other.mean - self.mean
        squares = self.squares + other.squares + step**2 * (self.pixels * other.pixels / count)
        return Moments(count, self.mean + step * (other.pixels / count), squares)

    @property
    def std(self) -> np.ndarray:
        """The deviation ``(N,)`` of all pixels."""
        return np.sqrt(self.squares / self.pixels)
