"""Reads a visitor's image: what it is, and how large, is looked at before anything is decoded."""

import io
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from PIL import Image

from mask2former.errors import DataError
from mask2former.formats.frame_source import reduce_image
from mask2former.formats.video_frames import read_frame

from .limits import Limits

# Pillow's names of what is opened; others of its decoders call programs, or are seldom used and so seldom looked at.
KINDS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF')


@dataclass(frozen=True)
class Photo:
    """An image.

    Attributes:
        name: File name, without folders.
        image: (H, W, 3) uint8 BGR, upright.
        original: (H, W) before it was reduced.
    """

    name: str
    image: np.ndarray
    original: tuple[int, int]


def read_upload(upload: tuple[str, str], limits: Limits) -> Photo:
    """Read an image file that a visitor uploaded.

    Args:
        upload: The path of the file, and what the visitor calls it.
        limits: Of its size, which is looked at before the file is.

    Raises:
        DataError: As :func:`read_photo`.
    """
    path, name = upload
    _check_bytes(os.path.getsize(path), limits)
    return read_photo(Path(path).read_bytes(), name, limits)


def read_photo(content: bytes, name: str, limits: Limits) -> Photo:
    """Read an image file.

    Args:
        content: Of the file.
        name: What the visitor calls it.
        limits: Of its size.

    Raises:
        DataError: If it is too large, or no image that can be read.
    """
    _check_bytes(len(content), limits)
    try:
        with Image.open(io.BytesIO(content), formats=KINDS) as file:
            width, height = file.size  # nothing else: of a PNG even the EXIF tags are read by decoding it
    except Exception:  # the decoders raise what they like
        raise DataError('This is no image that can be read: give a JPEG, PNG, WebP, BMP, GIF or TIFF file.') from None
    if width * height > limits.megapixels * 1e6:
        raise DataError(
            f'The image has {width} x {height} pixels, more than {limits.megapixels:g} million: give a smaller one.'
        )
    try:
        image = read_frame(io.BytesIO(content), formats=KINDS)
    except DataError:
        raise DataError('The image is damaged, and cannot be read to its end: give another one.') from None
    return Photo(plain_name(name), reduce_image(image, limits.image_side), image.shape[:2])


def _check_bytes(count: int, limits: Limits) -> None:
    if count > limits.image_mb * 1e6:
        raise DataError(f'The image file has more than {limits.image_mb:g} MB: give a smaller one.')


def plain_name(name: str) -> str:
    """A file name without folders and signs that files cannot have; 'image.png' where nothing is left."""
    name = PurePosixPath(PureWindowsPath(name).name).name
    name = ''.join(sign for sign in name if sign.isprintable() and sign not in '<>:"/\\|?*')[-120:]
    return name if Path(name).suffix and Path(name).stem.strip('. ') else 'image.png'
