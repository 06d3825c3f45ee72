"""Image files: their pixels as stored, their sizes with and without EXIF, and whether annotations fit them."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from PIL.ExifTags import Base

from mask2former.errors import DataError, MissingFileError

from .bands import size_of_bands
from .files import write_bytes

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')


def write_image(path: str | Path, image: np.ndarray, flags: Sequence[int] = ()) -> None:
    """Write an image in the format that the path ends with.

    Args:
        path: Where to; its folder is made.
        image: ``(H, W)`` uint8 or uint16, or ``(H, W, 3)`` uint8 in the order B, G, R.
        flags: Of ``cv2.imencode``.
    """
    _, encoded = cv2.imencode(Path(path).suffix, image, list(flags))
    write_bytes(path, encoded.tobytes())


def is_bgr(image: np.ndarray) -> bool:
    """Whether an array may be an image ``(H, W, 3)`` uint8 in the order B, G, R."""
    return image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size > 0


def read_pixels(path: str | Path, what: str, where: str, fix: str = 'replace it') -> np.ndarray:
    """The pixels of a label image as the file holds them: ``(H, W)`` or ``(H, W, C)``; of a palette image its indices.

    Args:
        path: The file.
        what: What messages call it, such as ``Class-id PNG``.
        where: What to do where it is absent.
        fix: What to do where it is broken.

    Raises:
        MissingFileError: If there is no such file.
        DataError: If it cannot be read as an image.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except FileNotFoundError:
        raise MissingFileError(f"{what} '{path}' does not exist; {where}.") from None
    except Exception as error:  # the decoders raise what they like
        raise DataError(f"{what} '{path}' cannot be read as an image ({error}); {fix}.") from error


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of an opened image, 1 to 8: 1 is upright, from 5 on the sides are swapped."""
    return image.getexif().get(Base.Orientation, 1)


def swaps_sides(orientation: int) -> bool:
    """Whether an image of this EXIF orientation is shown with its sides swapped."""
    return orientation in (5, 6, 7, 8)


def image_size(path: str | Path, decode: bool = True) -> tuple[int, int]:
    """``(H, W)`` of an image as training reads it: turned as its EXIF tag says.

    NumPy files, and TIFF files of several pages or of bands that Pillow does not know, are images of N bands, which
    nothing turns.

    Args:
        path: The image.
        decode: Whether its pixels are read, too, so that a broken file is found.

    Raises:
        MissingFileError: If there is no such file.
        MissingPackageError: If it is such a TIFF file, and tifffile is not installed.
        DataError: If it cannot be read.
    """
    try:
        with Image.open(path) as image:
            if decode:
                image.load()
            (width, height), turn = image.size, orientation(image)
            of_pages = image.format == 'TIFF' and getattr(image, 'n_frames', 1) > 1
    except FileNotFoundError:
        raise MissingFileError(f"The image '{path}' does not exist; add it, or remove its annotation.") from None
    except Exception as error:  # the decoders raise what they like
        if Path(path).suffix.lower() in ('.npy', '.tif', '.tiff'):
            return size_of_bands(path)
        raise DataError(f"The image '{path}' cannot be decoded ({error}); replace it.") from error
    if of_pages:  # they may be the bands, or the rows
        return size_of_bands(path)
    return (width, height) if swaps_sides(turn) else (height, width)


def check_size(
    what: str,
    size: Sequence[int],
    image: str | Path,
    image_size: Sequence[int],
    fix: str = 'they must be equal, and segments are loaded before anything resizes the image',
) -> None:
    """Check that an annotation has the size of its image.

    Args:
        what: The annotation, as the message names it.
        size: Its ``(H, W)``.
        image: The path of the image.
        image_size: Its ``(H, W)``.
        fix: The end of the message, where the sides are not merely swapped, as EXIF does.

    Raises:
        DataError: If the sizes differ.
    """
    height, width = size[:2]
    if (height, width) == tuple(image_size):
        return
    if (width, height) == tuple(image_size):
        fix = "the image may be turned by its EXIF tag, which color_type='color_ignore_orientation' leaves alone"
    raise DataError(
        f"{what} is {height} x {width} (H x W), but the image '{image}' is {image_size[0]} x {image_size[1]}; {fix}."
    )
