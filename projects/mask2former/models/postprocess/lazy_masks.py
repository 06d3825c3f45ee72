"""Masks of one image that are formed only for the queries somebody asks for, a band at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from mask2former.ops.linear import linear

from .axis_resize import AxisResize, covered


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
        flips (tuple[bool, bool]): Whether the image was flipped up and down, and left and right, before the model saw
            it. The masks that are formed lie on the image as it came.
        window (tuple[tuple[int, int], tuple[int, int]], optional): First and one after the last row, and first and one
            after the last column, of the part of the image that the input is, where it is not all of it. Masks are
            formed only there: bands end, and lines are cut, at the window's edges.
    """

    mask_embed: Tensor
    mask_features: Tensor
    batch_shape: tuple[int, int]
    img_shape: tuple[int, int]
    ori_shape: tuple[int, int]
    max_bytes: int | None = None
    flips: tuple[bool, bool] = (False, False)
    window: tuple[tuple[int, int], tuple[int, int]] | None = None

    def rows(self, index: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Mask logits of the queries ``index`` (n,) in bands of rows, from the top.

        Yields:
            tuple: Which rows, and their logits (rows, n, W), which may be written to.
        """
        lines = self.lines(index, 0)
        for band in self.bands(0, len(index)):
            yield band, lines.logits(band)

    def columns(self, index: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Like :meth:`rows`, but in bands of columns, from the left, and without queries that have no pixel there.

        Yields:
            tuple: Which columns; the places in ``index`` (n',), on the CPU, of queries that may be positive there; and
            their logits (columns, n', H), which may be written to. A band comes once, or several times with other
            queries, or not at all.
        """
        lines = self.lines(index, 1)
        positive = lines.positive()
        together = int(positive.sum(1).max())  # a band has seldom more
        for band in self.bands(1, together):
            places = lines.places(band, positive)
            for part in places.split(together) if len(places) else ():
                yield band, part, lines.logits(band, part.to(self.mask_features.device))

    def lines(self, index: Tensor, axis: int) -> 'MaskLines':
        """The masks of the queries ``index`` (n,), to form rows (axis 0) or columns (axis 1) of."""
        h, w = self.mask_features.shape[1:]
        low = linear(self.mask_embed[index], self.mask_features.flatten(1).T)  # (n, C), (h*w, C) -> (n, h*w)
        low = low.view(-1, h, w).permute(axis + 1, 0, 2 - axis).contiguous()  # (h, n, w) or (w, n, h)
        return MaskLines(low, self._resize(axis), self._resize(1 - axis))

    def covers(self, axis: int) -> slice:
        """The rows (axis 0) or columns (axis 1) of the image as it came that masks are formed of."""
        window = self.window and self.window[axis]
        return covered(self.img_shape[axis], self.ori_shape[axis], self.flips[axis], window)

    def bands(self, axis: int, n: int, covers: slice | None = None) -> Iterator[slice]:
        """Slices of the axis, or of ``covers`` in it, as many lines of n masks as the memory allows; none of none."""
        if n == 0:
            return
        max_bytes = self.max_bytes or (2**22 if self.mask_features.device.type == 'cpu' else 2**26)
        line = n * self.ori_shape[1 - axis] * self.mask_features.element_size()
        lines = max(1, max_bytes // line)
        covers = self.covers(axis) if covers is None else covers
        for start in range(covers.start, covers.stop, lines):
            yield slice(start, min(start + lines, covers.stop))

    def _resize(self, axis: int) -> AxisResize:
        return AxisResize(
            self.mask_features.shape[axis + 1],
            self.batch_shape[axis],
            self.img_shape[axis],
            self.ori_shape[axis],
            like=self.mask_features,
            flip=self.flips[axis],
            window=self.window and self.window[axis],
        )


@dataclass
class MaskLines:
    """Masks of n queries at the size of the mask features, and what forms lines of the original size of them.

    Attributes:
        low (Tensor): (l, n, s), l along the axis whose lines are formed.
        first (AxisResize): Resizes that axis.
        last (AxisResize): Resizes the other one.
    """

    low: Tensor
    first: AxisResize
    last: AxisResize

    def logits(self, band: slice, places: Tensor | None = None) -> Tensor:
        """Mask logits (lines, n', L) of a band; ``places`` (n',) are the masks to take, by default all."""
        inputs, weights = self.first.columns(band.start, band.stop)  # weights (l', lines)
        # The last axis comes first, for its inputs are fewer.
        part = self.low[inputs] if places is None else self.low[inputs].index_select(1, places)  # (l', n', s)
        part = self.last.last_axis(part.flatten(0, 1))  # (l' * n', L)
        return linear(weights.T, part.view(len(weights), -1).T).view(weights.shape[1], -1, part.shape[1])

    def positive(self) -> Tensor:
        """Whether each mask is positive anywhere in a line of the small size, (l, n) bool on the CPU."""
        return (self.low.amax(2) > 0).cpu()

    def places(self, band: slice, positive: Tensor) -> Tensor:
        """The masks (n',), on the CPU, that may be positive in a band; ``positive`` as :meth:`positive` gives it."""
        # Resizing takes means: what is positive nowhere around is not so afterwards.
        return positive[self.first.inputs(band.start, band.stop)].any(0).nonzero().flatten()
