"""Masks of one image that are formed only for the queries somebody asks for, a band at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from ...ops.linear import linear
from .axis_resize import AxisResize


@dataclass
class LazyMasks:
    """The factors of an image's masks and the sizes to bring them to.

    Mask logits at the original size are, as in the reference, those of the mask features' size enlarged to the padded
    input, with the padding cut off, and resized to the original size, bilinearly each time.

    Attributes:
        mask_embed (Tensor): (Q, C).
        mask_features (Tensor): (C, h, w).
        batch_shape (tuple[int, int]): Size of the padded input (H, W).
        img_shape (tuple[int, int]): Size of the image within it.
        ori_shape (tuple[int, int]): Size of the image as it came, and of the masks that are formed.
        max_bytes (int, optional): Memory of the mask logits that exist at a time at the original size, but one line of
            pixels at least; a postprocessor needs a few times as much. By default 4 MiB on a CPU, which its caches
            hold, and 64 MiB elsewhere.
    """

    mask_embed: Tensor
    mask_features: Tensor
    batch_shape: tuple[int, int]
    img_shape: tuple[int, int]
    ori_shape: tuple[int, int]
    max_bytes: int | None = None

    def rows(self, index: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Mask logits of the queries ``index`` (n,) in bands of rows, from the top.

        Yields:
            tuple: Which rows, and their logits (rows, n, W), which may be written to.
        """
        low = self._low(index)  # (h, n, w)
        down, across = self._resize(0), self._resize(1)
        for band in self._bands(0, len(index)):
            yield band, _enlarge(low, down, across, band)

    def columns(self, index: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Like :meth:`rows`, but in bands of columns, from the left, and without queries that have no pixel there.

        Yields:
            tuple: Which columns; the places in ``index`` (n',), on the CPU, of queries that may be positive there; and
            their logits (columns, n', H), which may be written to. A band comes once, or several times with other
            queries, or not at all.
        """
        low = self._low(index).permute(2, 1, 0).contiguous()  # (w, n, h)
        down, across = self._resize(0), self._resize(1)
        # Resizing takes means: what is positive nowhere around is not so afterwards.
        positive = (low.amax(2) > 0).cpu()  # (w, n)
        together = int(positive.sum(1).max())  # a band has seldom more
        for band in self._bands(1, together):
            places = positive[across.inputs(band.start, band.stop)].any(0).nonzero().flatten()
            for part in places.split(together) if len(places) else ():
                yield band, part, _enlarge(low, across, down, band, part.to(low.device))

    def _low(self, index: Tensor) -> Tensor:
        """Mask logits (h, n, w) at the size of the mask features."""
        h, w = self.mask_features.shape[1:]
        low = linear(self.mask_embed[index], self.mask_features.flatten(1).T)  # (n, C), (h*w, C) -> (n, h*w)
        return low.view(-1, h, w).transpose(0, 1).contiguous()

    def _resize(self, axis: int) -> AxisResize:
        return AxisResize(self.mask_features.shape[axis + 1], self.batch_shape[axis], self.img_shape[axis],
                          self.ori_shape[axis], like=self.mask_features)

    def _bands(self, axis: int, n: int) -> Iterator[slice]:
        """Slices of the axis, of as many lines of n masks as the memory allows; none for no masks."""
        if n == 0:
            return
        max_bytes = self.max_bytes or (2**22 if self.mask_features.device.type == 'cpu' else 2**26)
        length, line = self.ori_shape[axis], n * self.ori_shape[1 - axis] * self.mask_features.element_size()
        lines = max(1, max_bytes // line)
        for start in range(0, length, lines):
            yield slice(start, min(start + lines, length))


def _enlarge(low: Tensor, first: AxisResize, last: AxisResize, band: slice, places: Tensor | None = None) -> Tensor:
    """A band (lines, n', L) of masks (l, n, s) whose first axis ``first`` resizes, and whose last axis ``last`` does.

    ``places`` (n',) are the masks to take; by default all. The last axis comes first, for its inputs are fewer.
    """
    inputs = first.inputs(band.start, band.stop)
    part = low[inputs] if places is None else low[inputs].index_select(1, places)  # (l', n', s)
    part = last.last_axis(part.flatten(0, 1))  # (l' * n', L)
    weights = first.weights[inputs, band]  # (l', lines)
    return linear(weights.T, part.view(len(weights), -1).T).view(weights.shape[1], -1, part.shape[1])
