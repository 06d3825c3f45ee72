"""Resizing of maps whose rows are expensive to compute."""

from collections.abc import Callable

import torch
from torch import Tensor

from .axis_resize import AxisResize


class RollingRows:
    """Strips of resized maps, of maps that are computed a few rows at a time.

    Strips that follow each other need the same rows of the maps at their common edge. They are kept from one to the
    next, so each row of the maps is computed once::

        rows of the maps      0   1   2   3   4   5   6   7
        first strip needs     |---------------|                 computes 0 to 3
        second strip needs            |---------------|         keeps 2 and 3, computes 4 and 5
        third strip needs                     |---------------| keeps 4 and 5, computes 6 and 7

    Where the maps are flipped, strips go up them instead of down.

    Args:
        maps: Computes rows of the K maps: from a slice to (K, rows, small width).
        down: Resizes their columns.
        across: Resizes their rows.
    """

    def __init__(self, maps: Callable[[slice], Tensor], down: AxisResize, across: AxisResize) -> None:
        self.maps, self.down, self.across = maps, down, across
        self.kept_rows = slice(0, 0)
        self.kept = torch.empty(0)  # (K, kept rows, width)

    def __call__(self, rows: slice) -> Tensor:
        """The rows (K, rows, width) of the resized maps."""
        needed, weights = self.down.weights_of(rows)  # weights (needed, rows)
        start, stop = max(needed.start, self.kept_rows.start), min(needed.stop, self.kept_rows.stop)
        if start < stop:
            known = self.kept[:, start - self.kept_rows.start : stop - self.kept_rows.start]
            parts = [*self._compute(needed.start, start), known, *self._compute(stop, needed.stop)]
            self.kept = torch.cat(parts, dim=1)
        else:
            [self.kept] = self._compute(needed.start, needed.stop)
        self.kept_rows = needed
        return weights.T @ self.kept  # (rows, needed) @ (K, needed, width)

    def _compute(self, start: int, stop: int) -> list[Tensor]:
        """Rows of the maps at their full width, (K, rows, width); nothing if there are none."""
        if start == stop:
            return []
        maps = self.maps(slice(start, stop))
        return [self.across.resize_last_axis(maps.flatten(0, 1)).view(*maps.shape[:2], -1)]
