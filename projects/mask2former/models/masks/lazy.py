"""Masks of one image that are formed only for the queries that are asked for, a strip of rows or columns at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypedDict

from torch import Tensor

from mask2former.ops.linear import linear

from .axis_resize import AxisResize, original_extent

# Bytes of the mask logits that exist at a time at the original size; a postprocessor needs a few times as much.
MAX_BYTES_CPU = 2**22  # a processor's caches hold them
MAX_BYTES = 2**26


class Geometry(TypedDict):
    """What was done to an image before the model saw it; see :class:`LazyMasks`."""

    img_shape: tuple[int, int]
    ori_shape: tuple[int, int]
    flips: tuple[bool, bool]


@dataclass
class LazyMasks:
    """The factors of an image's masks and the sizes to bring them to: :class:`Masks` of one decoder output.

    Mask logits at the original size are, as in the reference, those of the mask features' size enlarged to the padded
    input, with the padding cut off, and resized to the original size, bilinearly each time.

    Attributes:
        mask_embed: (Q, C).
        mask_features: (C, h, w), of the type of ``mask_embed`` or of half precision to save memory.
        batch_shape: Size of the padded input (H, W).
        img_shape: Size of the image within it.
        ori_shape: Original size of the image, and size of the masks that are formed.
        max_bytes: Memory of the mask logits that exist at a time at the original size, but one row or column at least;
            by default ``MAX_BYTES_CPU`` or ``MAX_BYTES``.
        flips: Whether the image was flipped up and down, and left and right, before the model saw it. The masks that
            are formed lie on the original image.
        window: First and one after the last row, and first and one after the last column, of the part of the image that
            the input is, where it is not all of it. Masks are formed only there: strips end at the window's edges, and
            have only the window's rows or columns.
        form: What forms masks (n, h, w) of some of the embeddings and the mask features, by default their product.
    """

    mask_embed: Tensor
    mask_features: Tensor
    batch_shape: tuple[int, int]
    img_shape: tuple[int, int]
    ori_shape: tuple[int, int]
    max_bytes: int | None = None
    flips: tuple[bool, bool] = (False, False)
    window: tuple[tuple[int, int], tuple[int, int]] | None = None
    form: Callable[[Tensor, Tensor], Tensor] | None = None

    def rows(self, queries: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """The masks of ``queries`` (n,) in strips of rows (rows, n, W), from the top; see :meth:`Masks.rows`."""
        low = self.low_resolution(queries, 0)
        for rows in self.strips(0, len(queries)):
            yield rows, low.strip(rows)

    def columns(self, queries: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Those in strips of columns (columns, n', H), without empty ones, from the left; see :meth:`Masks.columns`."""
        low = self.low_resolution(queries, 1)
        positive = low.positive()
        most = int(positive.sum(1).max())  # a strip has seldom more
        for columns in self.strips(1, most):
            query_index = low.maybe_positive(columns, positive)
            for some in query_index.split(most) if len(query_index) else ():
                yield columns, some, low.strip(columns, some.to(self.mask_features.device))

    def low_resolution(self, queries: Tensor, axis: int) -> 'LowResolutionMasks':
        """The masks of ``queries`` (n,), to form strips of rows (axis 0) or columns (axis 1) of."""
        features = self.mask_features.to(self.mask_embed.dtype)
        logits = (self.form or products_of)(self.mask_embed[queries], features)  # (n, h, w)
        logits = logits.permute(axis + 1, 0, 2 - axis).contiguous()  # (h, n, w) or (w, n, h)
        return LowResolutionMasks(logits, self._resize(axis), self._resize(1 - axis))

    def extent(self, axis: int) -> slice:
        """The rows (axis 0) or columns (axis 1) of the original image in which masks are formed."""
        window = self.window and self.window[axis]
        return original_extent(self.img_shape[axis], self.ori_shape[axis], self.flips[axis], window)

    def strips(self, axis: int, num_masks: int, extent: slice | None = None) -> Iterator[slice]:
        """Strips of rows (axis 0) or columns (axis 1), of as many as the memory allows of so many masks.

        Args:
            axis: 0 or 1.
            num_masks: Masks of a strip; of none there are no strips.
            extent: What to cut into strips, by default :meth:`extent`.
        """
        if num_masks == 0:
            return
        step = max(1, self.pixels_at_once(num_masks) // self.ori_shape[1 - axis])
        extent = self.extent(axis) if extent is None else extent
        for start in range(extent.start, extent.stop, step):
            yield slice(start, min(start + step, extent.stop))

    def pixels_at_once(self, num_masks: int) -> int:
        """Of how many pixels the logits of so many masks may exist at a time, at the original size."""
        max_bytes = self.max_bytes or (MAX_BYTES_CPU if self.mask_features.device.type == 'cpu' else MAX_BYTES)
        return max_bytes // (num_masks * self.mask_embed.element_size())

    def _resize(self, axis: int) -> AxisResize:
        return AxisResize(
            self.mask_features.shape[axis + 1],
            self.batch_shape[axis],
            self.img_shape[axis],
            self.ori_shape[axis],
            like=self.mask_embed,
            flip=self.flips[axis],
            window=self.window and self.window[axis],
        )


def products_of(mask_embed: Tensor, mask_features: Tensor) -> Tensor:
    """Masks (n, h, w) of embeddings (n, C) and mask features (C, h, w)."""
    return linear(mask_embed, mask_features.flatten(1).T).view(-1, *mask_features.shape[1:])


@dataclass
class LowResolutionMasks:
    """Masks of n queries at the size of the mask features, and what forms strips at the original size of them.

    Attributes:
        logits: (l, n, s), l along the axis that is cut into strips.
        along: Resizes that axis.
        across: Resizes the other one, to L.
    """

    logits: Tensor
    along: AxisResize
    across: AxisResize

    def strip(self, strip: slice, query_index: Tensor | None = None) -> Tensor:
        """Mask logits (strip, n', L) of the masks ``query_index`` (n',), by default all."""
        inputs, weights = self.along.weights_of(strip)  # weights (l', strip)
        logits = self.logits[inputs]
        if query_index is not None:
            logits = logits.index_select(1, query_index)  # (l', n', s)
        # The other axis comes first, for its inputs are fewer.
        logits = self.across.resize_last_axis(logits.flatten(0, 1))  # (l' * n', L)
        return linear(weights.T, logits.view(len(weights), -1).T).view(weights.shape[1], -1, logits.shape[1])

    def positive(self) -> Tensor:
        """Whether each mask is positive anywhere in a row or column of the small size, (l, n) bool on the CPU."""
        return (self.logits.amax(2) > 0).cpu()

    def maybe_positive(self, strip: slice, positive: Tensor) -> Tensor:
        """Index (n',) on the CPU of the masks that may be positive in a strip, by what :meth:`positive` gave."""
        # Resizing takes means: what is positive nowhere around is not so afterwards.
        return positive[self.along.inputs(strip)].any(0).nonzero().flatten()
