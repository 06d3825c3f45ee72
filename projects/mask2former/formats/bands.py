"""Images of any number of bands and of any type: TIFF files by tifffile, NumPy files, and what OpenCV reads."""

import io
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from mask2former.errors import DataError, MissingFileError, MissingPackageError, UserError

# The types that stay as they are; OpenCV's and torch's functions take all of them.
KEPT = ('uint8', 'uint16', 'int16', 'float32')
NUMPY, TIFF = b'\x93NUMPY', (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')  # how such files begin; + is a BigTIFF
BYTES_OF_HEADER = 8


class BandsError(DataError):
    """A file has another number of bands than asked for."""


class Header(NamedTuple):
    """What the header of an image says.

    Attributes:
        size: ``(H, W)``.
        dtype: The type that its pixels are read as; None where only decoding tells.
    """

    size: tuple[int, int]
    dtype: str | None


def decode_bands(content: bytes, path: str | Path, bands: int) -> np.ndarray:
    """The pixels of a file as they are, whatever its name ends with.

    EXIF turns nothing. Of types, ``KEPT`` stay; bool becomes uint8, int8 int16, and others float32.

    Args:
        content: That of the file.
        path: Its path, for messages.
        bands: How many it must have.

    Returns:
        np.ndarray: ``(H, W, bands)``, the bands in the order of the file: red first in a photograph.

    Raises:
        BandsError: If it has another number of bands.
        DataError: If it cannot be decoded, or has values that are not finite.
        MissingPackageError: If it is a TIFF file, and tifffile is not installed.
    """
    try:
        image, axes = _decode(content, path)
    except UserError:
        raise
    except Exception as error:  # the decoders raise what they like
        raise _broken(path, error) from error
    axis = _axis_of_bands(image.shape, axes, bands)
    if axis is None:
        raise _wrong_number(path, image.shape, axes, bands)
    image = image[..., None] if image.ndim == 2 else np.moveaxis(image, axis, -1)
    dtype = _read_as(image.dtype, path)
    with np.errstate(over='ignore'):
        image = np.ascontiguousarray(image, dtype=dtype)
    if image.dtype.kind == 'f' and not (finite := np.isfinite(image)).all():
        raise DataError(
            f"Image file '{path}' has {int((~finite).sum())} values that are not finite (NaN, or too large for "
            'float32): write a number in their place, such as the mean of the band.'
        )
    return image


def read_bands(path: str | Path, bands: int) -> np.ndarray:
    """:func:`decode_bands` of a file.

    Raises:
        MissingFileError: If there is no such file; else as :func:`decode_bands`.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise _missing(path) from None
    return decode_bands(content, path, bands)


def read_header(path: str | Path, bands: int) -> Header:
    """What the header of a file says, without its pixels; the errors are those of :func:`read_bands`."""
    try:
        with open(path, 'rb') as file:
            start = file.read(BYTES_OF_HEADER)
        if start.startswith(NUMPY):
            stored = np.load(path, mmap_mode='r', allow_pickle=False)
            shape, dtype, axes = stored.shape, stored.dtype, None
        elif start.startswith(TIFF):
            with _tifffile(path).TiffFile(path) as tiff:
                series = tiff.series[0]
                shape, dtype, axes = series.shape, series.dtype, series.axes
        else:
            with Image.open(path) as image:
                return Header(image.size[::-1], None)
    except UserError:
        raise
    except FileNotFoundError:
        raise _missing(path) from None
    except Exception as error:
        raise _broken(path, error) from error
    axis = _axis_of_bands(shape, axes, bands)
    if axis is None:
        raise _wrong_number(path, shape, axes, bands)
    sides = [side for i, side in enumerate(shape) if i != axis]
    return Header((int(sides[0]), int(sides[1])), _read_as(dtype, path))


def size_of_bands(path: str | Path) -> tuple[int, int]:
    """``(H, W)`` of an image of any number of bands. The whole file is decoded.

    Where nothing names the axes, the bands are those of the shorter of the first and the last, of equal ones the last.

    Raises:
        DataError: If it cannot be decoded, or is no image.
        MissingPackageError: If it is a TIFF file, and tifffile is not installed.
    """
    try:
        image, axes = _decode(Path(path).read_bytes(), path)
    except UserError:
        raise
    except Exception as error:  # the decoders raise what they like
        raise _broken(path, error) from error
    shape = image.shape
    if len(shape) == 2:
        return shape[0], shape[1]
    if len(shape) != 3:
        raise DataError(
            f"Image file '{path}' is of {' x '.join(map(str, shape))} values: write height, width and bands."
        )
    named = axes is not None and {'Y', 'X'} <= set(axes) and 'Q' not in axes
    axis = next(i for i, name in enumerate(axes or '') if name not in 'YX') if named else 2 * (shape[2] <= shape[0])
    sides = [side for i, side in enumerate(shape) if i != axis]
    return sides[0], sides[1]


def is_image(image: object, bands: int) -> bool:
    """Whether an object may be an image ``(H, W, bands)`` as a pipeline with ``LoadImage(bands=N)`` has it."""
    return (
        isinstance(image, np.ndarray)
        and image.ndim == 3
        and image.shape[2] == bands
        and image.size > 0
        and image.dtype.name in KEPT
    )


def in_file_order(image: np.ndarray) -> np.ndarray:
    """The bands ``(..., N)`` of a pipeline's image as the file has them: the pipeline has three as B, G, R."""
    return np.ascontiguousarray(image[..., ::-1] if image.shape[-1] == 3 else image)


def _decode(content: bytes, path: str | Path) -> tuple[np.ndarray, str | None]:
    """The array of a file, and what tifffile calls its axes."""
    if content.startswith(NUMPY):
        return np.load(io.BytesIO(content), allow_pickle=False), None
    if content.startswith(TIFF):
        with _tifffile(path).TiffFile(io.BytesIO(content)) as tiff:
            try:
                return tiff.series[0].asarray(), tiff.series[0].axes
            except ValueError as error:
                if 'imagecodecs' not in str(error):
                    raise
                raise MissingPackageError(
                    f"Image file '{path}' is compressed as tifffile alone cannot read: pip install imagecodecs."
                ) from error
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    if image is None:
        raise ValueError('it is no TIFF file, no NumPy file, and nothing that OpenCV reads')
    if image.shape[2:] in ((3,), (4,)):  # B, G, R (, alpha)
        image = image[..., [2, 1, 0, 3][: image.shape[2]]]
    return image, 'YXS'[: image.ndim]


def _tifffile(path: str | Path) -> Any:
    try:
        import tifffile
    except ModuleNotFoundError:
        raise MissingPackageError(
            f"Image file '{path}' is a TIFF file, whose bands tifffile reads, which is not installed: "
            'pip install tifffile.'
        ) from None
    return tifffile


def _axis_of_bands(shape: tuple[int, ...], axes: str | None, bands: int) -> int | None:
    """Which axis of an array has the bands; -1 where there is one band and no axis of it, None where no axis fits.

    tifffile names the axes, but for those of arrays that were written without a word (Q); they and NumPy's are told by
    their length, the last before the first.
    """
    if len(shape) == 2:
        return -1 if bands == 1 else None
    if len(shape) != 3:
        return None
    if axes is not None and {'Y', 'X'} <= set(axes):
        axis = next(i for i, name in enumerate(axes) if name not in 'YX')
        if shape[axis] == bands:
            return axis
        if 'Q' not in axes:
            return None
    return 2 if shape[2] == bands else 0 if shape[0] == bands else None


def _read_as(dtype: np.dtype, path: str | Path) -> str:
    """The type that values of a file's type are read as."""
    if dtype.kind not in 'buif':
        raise DataError(f"Image file '{path}' has values of the type {dtype}: write numbers.")
    return dtype.name if dtype.name in KEPT else {'bool': 'uint8', 'int8': 'int16'}.get(dtype.name, 'float32')


def _broken(path: str | Path, error: Exception) -> DataError:
    reason = ' '.join(str(error).split())[:120] or type(error).__name__
    return DataError(f"Image file '{path}' cannot be decoded ({reason}); replace it.")


def _missing(path: str | Path) -> MissingFileError:
    return MissingFileError(f"Image file '{path}' does not exist; check data_root and data_prefix['img'].")


def _wrong_number(path: str | Path, shape: tuple[int, ...], axes: str | None, bands: int) -> BandsError:
    named = '' if axes is None else f' (axes {axes})'
    wanted = 'the one band' if bands == 1 else f'the {bands} bands'
    sides = ' x '.join(map(str, shape))
    return BandsError(
        f"Image file '{path}' is of {sides} values{named}, which are not {wanted} that LoadImage(bands={bands}) reads: "
        'set bands to the number that the files have, or replace this one.'
    )
