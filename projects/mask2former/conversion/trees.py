"""Reads files and folders of official releases; what is missing or broken is named together with its mend."""

import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.ExifTags import Base

from mask2former.errors import DataError, MissingFileError


def need(path: str | Path, mend: str) -> Path:
    """The path, if there is something.

    Raises:
        MissingFileError: If not; ``mend`` ends its message.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"'{path}' does not exist; {mend}.")
    return path


def stems(folder: str | Path, suffix: str, mend: str) -> list[str]:
    """The sorted names, without the suffix, of a folder's files that end with it; hidden files are left out.

    Raises:
        MissingFileError: If the folder is absent or has none; ``mend`` ends the message.
    """
    names = [path.name for path in need(folder, mend).iterdir()]
    found = sorted(name.removesuffix(suffix) for name in names if name.endswith(suffix) and name[0] != '.')
    if not found:
        raise MissingFileError(f"'{folder}' has no file that ends with '{suffix}'; {mend}.")
    return found


def read_array(path: str | Path, channels: int) -> np.ndarray:
    """The pixels of a label image as the file holds them, of a palette image its indices.

    Args:
        path (str | PathLike): The file.
        channels (int): 1 for ``(H, W)``; 3 for ``(H, W, 3)`` RGB.

    Raises:
        MissingFileError: If there is no such file.
        DataError: If it cannot be read or has other channels.
    """
    need(path, 'unpack the release completely')
    try:
        with Image.open(path) as image:
            array = np.asarray(image)
    except Exception as error:  # the decoders raise what they like
        raise DataError(f"'{path}' cannot be read as an image ({error}); get it anew.") from error
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
    need(path, 'unpack the release completely')
    try:
        with Image.open(path) as image:
            return image.height, image.width, image.getexif().get(Base.Orientation, 1) != 1
    except Exception as error:
        raise DataError(f"'{path}' cannot be read as an image ({error}); get it anew.") from error


def check_shape(label_path: str | Path, shape: tuple[int, ...], image_path: str | Path, size: tuple[int, int]) -> None:
    """Raise ``DataError`` where an annotation has not the ``(H, W)`` of its image."""
    if shape[:2] != size:
        raise DataError(
            f"'{label_path}' is {shape[0]} x {shape[1]} (H x W), but '{image_path}' is {size[0]} x "
            f'{size[1]}; get both from one release.'
        )


def link_or_copy(source: str | Path, target: str | Path, copy: bool = False) -> None:
    """Make a file appear in another folder: a hard link, or a copy where there are none or ``copy`` is true."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f'{target.name}.{os.getpid()}.part')
    part.unlink(missing_ok=True)
    if copy or not _link(source, part):
        shutil.copyfile(source, part)
    if target.exists() and target.samefile(part):  # of two links to one file, renaming does nothing
        part.unlink()
    else:
        part.replace(target)


def _link(source: str | Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:  # another file system, one without links, or a file of another user
        return False
    return True
