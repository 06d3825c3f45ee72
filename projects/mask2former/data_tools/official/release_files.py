"""Reads files and folders of official releases; what is missing or broken is named together with the fix."""

from pathlib import Path

import numpy as np
from PIL import Image

from mask2former.errors import DataError, MissingFileError
from mask2former.formats.images import orientation, read_pixels

RELEASE = 'unpack the release completely'
ONE_RELEASE = 'get both from one release'  # where sizes differ


def need(path: str | Path, fix: str) -> Path:
    """The path, if there is something.

    Raises:
        MissingFileError: If not; ``fix`` ends its message.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"'{path}' does not exist; {fix}.")
    return path


def stems(folder: str | Path, suffix: str, fix: str) -> list[str]:
    """The sorted names, without the suffix, of a folder's files that end with it; hidden files are left out.

    Raises:
        MissingFileError: If the folder is absent or has none; ``fix`` ends the message.
    """
    names = [path.name for path in need(folder, fix).iterdir()]
    found = sorted(name.removesuffix(suffix) for name in names if name.endswith(suffix) and name[0] != '.')
    if not found:
        raise MissingFileError(f"'{folder}' has no file that ends with '{suffix}'; {fix}.")
    return found


def read_array(path: str | Path, channels: int) -> np.ndarray:
    """The pixels of a label image as the file holds them, of a palette image its indices.

    Args:
        path: The file.
        channels: 1 for ``(H, W)``; 3 for ``(H, W, 3)`` RGB.

    Raises:
        MissingFileError: If there is no such file.
        DataError: If it cannot be read or has other channels.
    """
    array = read_pixels(path, 'The file', RELEASE, 'get it again')
    if channels == 1 and array.ndim == 2:
        return array
    if channels == 3 and array.ndim == 3 and array.shape[2] >= 3:
        return array[..., :3]
    raise DataError(
        f"'{path}' is an array of the shape {array.shape}, but an image of {channels} channels is needed; "
        'get the file of the official release.'
    )


def image_header(path: str | Path) -> tuple[int, int, bool]:
    """Height and width of an image as it is stored, and whether its EXIF tag turns it; the pixels are not read.

    Raises:
        MissingFileError: If there is no such file.
        DataError: If it is no image.
    """
    need(path, RELEASE)
    try:
        with Image.open(path) as image:
            return image.height, image.width, orientation(image) != 1
    except Exception as error:
        raise DataError(f"'{path}' cannot be read as an image ({error}); get it again.") from error
