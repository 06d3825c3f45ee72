"""A segment of the whole image, put together of the parts that tiles saw."""

from collections.abc import Iterator, Sequence

import numpy as np

from mask2former.formats.rle import decode_mask, encode_crops

from .grid import TileGrid
from .parts import Part, shifted, slice_of

MAX_PIXELS = 2**22  # of a segment whose masks are formed at a time
HALF = 0.5 - 1e-9  # shares are rounded


class Segment:
    """The parts of one segment.

    A pixel belongs to a thing if the tiles that saw the thing say so, by their shares at the pixel; tiles that did not
    see it have no say in what belongs to it, but in whether it is there at all (:meth:`support`).

    Args:
        grid: The tiles.
        parts: One at least.

    Attributes:
        label (int): The class.
        isthing (bool): Whether it is one object of several.
        score (float): The mean of the parts' scores, weighted by the area that each tile answers for.
        rows (slice): From the first row to the last.
        columns (slice): From the first column to the last.
    """

    def __init__(self, grid: TileGrid, parts: Sequence[Part]) -> None:
        self.grid, self.parts = grid, parts
        self.label, self.isthing = parts[0].label, parts[0].isthing
        self.rows = slice(min(part.top for part in parts), max(part.bottom for part in parts))
        self.columns = slice(min(part.left for part in parts), max(part.right for part in parts))
        weights = np.array([self._weight(part) for part in parts])
        self.score = float(weights @ [part.score for part in parts] / weights.sum())

    def _shares(self, part: Part, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        """A tile's share of rows and of columns that lie in it."""
        tile = part.tile
        return (
            self.grid.share(tile, 0)[shifted(rows, tile.rows.start)],
            self.grid.share(tile, 1)[shifted(columns, tile.columns.start)],
        )

    def _weight(self, part: Part) -> float:
        """The sum of a tile's share over the part's pixels."""
        down, across = self._shares(part, slice(part.top, part.bottom), slice(part.left, part.right))
        if down.min() == across.min() == 1:
            return part.area
        return float(down @ decode_mask(part.rle) @ across)

    def support(self) -> float:
        """The mean share, over all pixels that a tile gives it, of the tiles that saw it at all; in 0 .. 1.

        Less than a half says that the tiles which see that place best saw no such segment there.
        """
        if len(self.parts) == 1:
            return self._weight(self.parts[0]) / self.parts[0].area
        total = area = 0.0
        for rows, columns in self.blocks():
            votes, present = self._votes(rows, columns)
            total += present[votes > 0].sum()
            area += np.count_nonzero(votes)
        return total / area

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of the blocks that it is formed in, from the left to the right."""
        height = self.rows.stop - self.rows.start
        step = max(1, MAX_PIXELS // height)
        for left in range(self.columns.start, self.columns.stop, step):
            yield self.rows, slice(left, min(left + step, self.columns.stop))

    def _votes(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        """Of each pixel of a part of the image the shares of the tiles that give it to the segment, and of those that
        saw the segment and have the pixel."""
        votes = np.zeros((rows.stop - rows.start, columns.stop - columns.start))
        present = np.zeros_like(votes)
        seen = set()
        for part in self.parts:
            tile = part.tile
            y, x = (slice_of(a.start, a.stop, b) for a, b in ((rows, tile.rows), (columns, tile.columns)))
            if y.start >= y.stop or x.start >= x.stop:
                continue
            here = shifted(y, rows.start), shifted(x, columns.start)
            down, across = self._shares(part, y, x)
            if tile.number not in seen:
                present[here] += down[:, None] * across
                seen.add(tile.number)
            if part.touches(y, x):
                y, x = slice_of(part.top, part.bottom, y), slice_of(part.left, part.right, x)
                here = shifted(y, rows.start), shifted(x, columns.start)
                down, across = self._shares(part, y, x)
                mask = decode_mask(part.rle)[shifted(y, part.top), shifted(x, part.left)]
                votes[here] += mask * down[:, None] * across
        return votes, present

    def votes(self, rows: slice, columns: slice) -> np.ndarray:
        """Of each pixel of a part of the image the shares of the tiles that give it to the segment, ``(height, width)``
        float64; of a thing 0 where the tiles that saw it say by their shares that it is not there."""
        votes, present = self._votes(rows, columns)
        if self.isthing and len(self.parts) > 1:
            votes[votes < HALF * present] = 0
        return votes

    def encode(self) -> dict:
        """Its mask in the whole image in COCO's run-length encoding."""
        blocks = ((self.votes(rows, columns) > 0, rows.start, columns.start) for rows, columns in self.blocks())
        return encode_crops(blocks, *self.grid.size)
