"""Images that are read some rows at a time, and where on earth they lie."""

import logging
import os
import warnings
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from mask2former.errors import DataError, MissingPackageError, UserError

from .bands import KEPT
from .files import write_atomically

_LOG = logging.getLogger(__name__)
WHOLE_PIXELS = 2**26  # images of up to so many are read at once, by what reads them otherwise, too
CACHE_BYTES = 2**26  # of what GDAL has decoded
NEEDS_RASTERIO = 'needs rasterio, which is not installed: pip install rasterio'


class ImageRows(Protocol):
    """An image that is read from the top.

    Attributes:
        size: (H, W).
    """

    size: tuple[int, int]

    def read(self, rows: slice) -> np.ndarray:
        """Some rows (rows, W, bands); they begin not above those before."""


class ArrayRows:
    """Rows of an image (H, W, bands) in memory."""

    def __init__(self, image: np.ndarray) -> None:
        self.image = image
        self.size: tuple[int, int] = image.shape[:2]

    def read(self, rows: slice) -> np.ndarray:
        """See :class:`ImageRows`."""
        return self.image[rows]


class RasterRows:
    """Rows of a file that GDAL reads, each of which is decoded once.

    Args:
        path: The file.
        dataset: As rasterio opens it.
        indexes: Which of its bands, counted from 1.
    """

    def __init__(self, path: str | Path, dataset: Any, indexes: list[int]) -> None:
        self.path, self.dataset, self.indexes = path, dataset, indexes
        self.size: tuple[int, int] = (dataset.height, dataset.width)
        self.start = 0
        self.kept = np.empty((len(indexes), 0, dataset.width), dataset.dtypes[0])  # rows from start on

    def read(self, rows: slice) -> np.ndarray:
        """See :class:`ImageRows`.

        Raises:
            DataError: If the file is broken.
        """
        stop = self.start + self.kept.shape[1]
        if rows.start < self.start:
            raise ValueError(f'rows from {rows.start} on are asked for after those from {self.start} on')
        self.kept, self.start = self.kept[:, rows.start - self.start :], max(rows.start, self.start)
        if rows.stop > stop:
            top = max(stop, rows.start)
            window = (top, rows.stop), (0, self.size[1])
            try:
                with _environment():
                    new = self.dataset.read(self.indexes, window=window)
            except Exception as error:  # the decoders raise what they like
                raise DataError(f"Image file '{self.path}' cannot be decoded ({error}); replace it.") from error
            self.kept = np.concatenate([self.kept, new], axis=1)
        return np.moveaxis(self.kept[:, : rows.stop - rows.start], 0, -1)


def open_rows(path: str | Path, bands: int | None, read_whole: Callable[[], np.ndarray]) -> ImageRows:
    """Open an image for reading rows: by GDAL if it is big and rasterio is installed, else as a whole.

    Args:
        path: The file.
        bands: As ``LoadImage`` has it: None for an ordinary image, B, G, R.
        read_whole: Reads the image (H, W, bands) at once, which small files and unusual ones are.

    Raises:
        UserError: What ``read_whole`` raises.
    """
    try:
        dataset = _open(path)
    except UserError:
        if os.path.getsize(path) > WHOLE_PIXELS:
            _LOG.warning("'%s' is read as a whole: reading some rows at a time %s.", path, NEEDS_RASTERIO)
        dataset = None
    if dataset is not None and dataset.height * dataset.width > WHOLE_PIXELS:
        indexes = _indexes(dataset, bands)
        if indexes is not None:
            return RasterRows(path, dataset, indexes)
    return ArrayRows(read_whole())


def _indexes(dataset: Any, bands: int | None) -> list[int] | None:
    """The bands of a file in the order that a pipeline has them; None where they are no such image."""
    rasterio = _rasterio()
    kinds = set(dataset.dtypes)
    if bands is not None:
        order = list(range(1, bands + 1))
        usual = len(kinds) == 1 and dataset.dtypes[0] in KEPT and dataset.count == bands
        return (order[::-1] if bands == 3 else order) if usual else None
    turned = dataset.tags(ns='EXIF').get('EXIF_Orientation', dataset.tags().get('EXIF_Orientation', '1')) != '1'
    palette = rasterio.enums.ColorInterp.palette in dataset.colorinterp
    if kinds != {'uint8'} or turned or palette or dataset.count > 4:
        return None
    return [3, 2, 1] if dataset.count >= 3 else [1, 1, 1]


class Georeference(NamedTuple):
    """Where an image lies on earth: as rasterio has it."""

    crs: Any
    transform: Any
    gcps: list


def georeference_of(path: str | Path) -> Georeference | None:
    """What a file says of where it lies; None where it says nothing, is no image, or rasterio is not installed."""
    try:
        dataset = _open(path)
    except UserError:
        return None
    if dataset is None:
        return None
    with dataset:
        gcps, crs = dataset.gcps
        if dataset.crs is None and dataset.transform.is_identity and not gcps:
            return None
        return Georeference(dataset.crs or crs, dataset.transform, gcps)


def write_geotiff(
    path: str | Path, strips: Iterable[tuple[slice, np.ndarray]], size: tuple[int, int], where: Georeference
) -> None:
    """Write a map of ids as a GeoTIFF of one band of int32, in which 0 is no data.

    Args:
        path: Where to.
        strips: Which rows, and their ids (rows, W), from the top.
        size: (H, W).
        where: On earth.

    Raises:
        MissingPackageError: If rasterio is not installed.
    """
    rasterio = _rasterio()
    place = dict(gcps=where.gcps) if where.gcps else dict(transform=where.transform)
    options = dict(count=1, dtype='int32', nodata=0, compress='deflate', BIGTIFF='IF_SAFER', crs=where.crs, **place)

    def write(part: Path) -> None:
        with _environment(), rasterio.open(part, 'w', driver='GTiff', height=size[0], width=size[1], **options) as file:
            for rows, ids in strips:
                file.write(ids.astype(np.int32), 1, window=((rows.start, rows.stop), (0, size[1])))

    write_atomically(path, write)


def _open(path: str | Path) -> Any:
    """A file as rasterio opens it; None where GDAL knows no such file."""
    rasterio = _rasterio()
    try:
        with _environment():
            return rasterio.open(path)
    except rasterio.errors.RasterioIOError:
        return None


@contextmanager
def _environment():
    rasterio = _rasterio()
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES), warnings.catch_warnings():
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        yield


def _rasterio() -> Any:
    try:
        import rasterio.enums
    except ModuleNotFoundError:
        raise MissingPackageError(f'Reading and writing georeferences {NEEDS_RASTERIO}.') from None
    return rasterio
