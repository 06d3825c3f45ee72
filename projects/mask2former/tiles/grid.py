"""Where the tiles of an image lie, and how much each has to say at a pixel."""

import functools
import logging
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mask2former.errors import ConfigError

_LOG = logging.getLogger(__name__)
MANY_TILES = 1000  # of which a person should know before waiting for them
MOST_PIXELS = 2**32 - 1  # of an image whose masks pycocotools can count


class Tile(NamedTuple):
    """A part of an image: its place in the order of the tiles, and its rows and columns."""

    number: int
    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


class TileGrid:
    """Square tiles that cover an image, row after row; the last of a row or column ends where the image does.

    Args:
        size: (H, W) of the image.
        tile: Side of a tile, in pixels; tiles of an image that is smaller are as large as it is.
        overlap: Pixels that neighbours share at least. An object is put together if neighbours both see a part of it:
            it takes one pixel, and for good masks some more than the model's stride.

    Attributes:
        tiles (list[Tile]): From the left to the right, then down.

    Raises:
        ConfigError: If a side or an overlap cannot be, or if the image has too many pixels.
    """

    def __init__(self, size: tuple[int, int], tile: int, overlap: int) -> None:
        check_tiles(tile, overlap)
        if math.prod(size) > MOST_PIXELS:
            raise ConfigError(f'The image has {size[0]} x {size[1]} pixels, but at most {MOST_PIXELS} can be: cut it.')
        self.size = size
        self.tile, self.overlap = tile, overlap
        self.bounds = tuple(window_bounds(side, min(tile, side), tile - overlap) for side in size)
        self.shares = tuple(_shares(bounds, side) for bounds, side in zip(self.bounds, size))
        down, across = self.bounds
        self.tiles = [
            Tile(i * len(across) + j, slice(*rows), slice(*columns))
            for i, rows in enumerate(down)
            for j, columns in enumerate(across)
        ]

        if len(self.tiles) > MANY_TILES:
            _warn(tuple(size), tile, overlap, len(self.tiles))

    def __len__(self) -> int:
        return len(self.tiles)

    def share(self, tile: Tile, axis: int) -> np.ndarray:
        """Of a tile's rows (axis 0) or columns (axis 1), how much it has to say there, float64 in 0 .. 1.

        The shares of all tiles at a pixel, a row's times a column's each, sum up to 1. In an overlap they fall towards
        the tile's border, behind which the model sees nothing.
        """
        row, column = divmod(tile.number, len(self.bounds[1]))
        return self.shares[axis][column if axis else row]

    def earlier_neighbours(self, tile: Tile) -> Iterator[Tile]:
        """The tiles before this one that share pixels with it."""
        row, column = divmod(tile.number, len(self.bounds[1]))
        rows = _overlapping(self.bounds[0], row)
        columns = _overlapping(self.bounds[1], column)
        for index in (i * len(self.bounds[1]) + j for i in rows for j in columns):
            if index < tile.number:
                yield self.tiles[index]


@functools.cache  # once for all images of a size
def _warn(size: tuple[int, int], tile: int, overlap: int, count: int) -> None:
    _LOG.warning(
        'An image of %d x %d pixels has %d tiles of %d with an overlap of %d, and the model runs on each: larger tiles '
        'or a smaller overlap make them fewer.',
        *(*reversed(size), count, tile, overlap),
    )


def window_bounds(side: int, window: int, stride: int) -> list[tuple[int, int]]:
    """First and one after the last pixel of each window along a side; the last one ends where the side does."""
    starts = [min(i * stride, side - window) for i in range(math.ceil((side - window) / stride) + 1)]
    return [(start, start + window) for start in starts]


def check_tiles(tile: int, overlap: int, min_iou: float = 0.5) -> None:
    """Check the options of tiles.

    Raises:
        ConfigError: If there are no such tiles.
    """
    for name, value, least in (('tile', tile, 2), ('overlap', overlap, 1)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigError(f'{name} must be a whole number of pixels from {least} on, but is {value!r}.')
    if overlap >= tile:
        raise ConfigError(f'overlap must be less than tile, but is {overlap} and tile is {tile}: give a quarter of it.')
    if not 0 < min_iou <= 1:
        raise ConfigError(f'min_iou of tiles must lie above 0 and not above 1, but is {min_iou}.')


def _overlapping(bounds: list[tuple[int, int]], at: int) -> list[int]:
    """Which of the parts of a side share pixels with one of them."""
    start, stop = bounds[at]
    return [i for i, (first, end) in enumerate(bounds) if first < stop and end > start]


def _shares(bounds: list[tuple[int, int]], side: int) -> list[np.ndarray]:
    """Of each part of a side its share: the distance from its nearest border inside the image, over the sum of all."""
    total = np.zeros(side)
    distances = []
    for start, stop in bounds:
        at = np.arange(start, stop)
        before = at - start + 1.0 if start else np.full(len(at), np.inf)
        behind = stop - at * 1.0 if stop < side else np.full(len(at), np.inf)
        distance = np.minimum(np.minimum(before, behind), stop - start)
        total[start:stop] += distance
        distances.append(distance)
    return [distance / total[start:stop] for distance, (start, stop) in zip(distances, bounds)]
