"""Checks of an image of N bands: their number, size and type, and their mean and deviation."""

import hashlib
from pathlib import Path

import cv2
import numpy as np

from mask2former.errors import DataError, MissingFileError
from mask2former.formats.bands import BandsError, decode_bands, read_header

from .moments import Moments
from .report import ImageReport, size_text
from .source import Entry


def inspect_bands(entry: Entry, bands: int, headers_only: bool, report: ImageReport) -> np.ndarray | None:
    """Check the image file, and give the picture ``(H, W)`` float32 that it is compared by: the mean of its bands."""
    try:
        header = read_header(entry.path, bands)
        report.size, report.dtype = header.size[::-1], header.dtype
        if entry.size is not None and report.size != entry.size:
            text = f'{entry.path} is {size_text(report.size)}, the JSON file says {size_text(entry.size)}'
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
