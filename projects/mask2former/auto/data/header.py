"""The size of an image by its header, without its pixels."""

from pathlib import Path

from PIL import Image

from mask2former.errors import DataError, MissingFileError
from mask2former.formats.images import orientation, swaps_sides


def header_size(path: Path) -> tuple[int, int]:
    """``(H, W)`` of an image as training reads it: turned as its EXIF tag says.

    Raises:
        MissingFileError: If there is no such file.
        DataError: If it is no image.
    """
    try:
        with Image.open(path) as image:
            (width, height), turn = image.size, orientation(image)
    except FileNotFoundError:
        raise MissingFileError(f"The image '{path}' does not exist; add it, or remove its annotation.") from None
    except Exception as error:  # the decoders raise what they like
        raise DataError(f"The image '{path}' cannot be decoded ({error}); replace it.") from error
    return (width, height) if swaps_sides(turn) else (height, width)
