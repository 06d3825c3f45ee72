"""Checks of an image of N bands: their number, size and type, and their mean and deviation."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mask2former.errors import DataError, MissingFileError
from mask2former.formats.bands import BandsError, decode_bands, read_header

from .report import ImageReport
from .source import Entry


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


def inspect_bands(entry: Entry, bands: int, headers_only: bool, report: ImageReport) -> np.ndarray | None:
    """Check the image file, and give the picture ``(H, W)`` float32 that it is compared by: the mean of its bands."""
    try:
        header = read_header(entry.path, bands)
        report.size, report.dtype = header.size[::-1], header.dtype
        if entry.size is not None and report.size != entry.size:
            text = f'{entry.path} is {_by(report.size)}, the JSON file says {_by(entry.size)}'
            report.problems.add('wrong size', entry.id, text)
        if headers_only:
            return None
        content = Path(entry.path).read_bytes()
        image = decode_bands(content, entry.path, bands)
    except MissingFileError:
        report.problems.add('missing image', entry.id, f'{entry.path} is not there')
        return None
    except BandsError as error:
        report.problems.add('wrong bands', entry.id, str(error))
        return None
    except DataError as error:
        report.problems.add('corrupt image', entry.id, str(error))
        return None
    report.file_hash = hashlib.blake2b(content, digest_size=16).digest()
    report.dtype, report.moments = image.dtype.name, Moments.of(image)
    return image.mean(axis=2, dtype=np.float32)


def shrink(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture ``(H, W)`` made smaller to ``size`` (height, width)."""
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)


def _by(size: tuple[int, int]) -> str:
    return f'{size[0]} x {size[1]}'
