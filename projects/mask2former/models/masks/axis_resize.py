"""Bilinear resizing along one axis as a matrix product."""

from math import ceil, floor

import torch
import torch.nn.functional as F
from torch import Tensor

# Outputs that one product makes of the few inputs they depend on: wider blocks multiply more zeros.
MAX_OUTPUTS = 256


class AxisResize:
    """What brings the mask features' size to the original one along an axis: enlarge, cut the padding off, resize.

    Both steps are linear, so together they are a matrix. It has few entries in a row, side by side; the products here
    leave the zeros beside them out. The entries are those that ``F.interpolate`` uses.

    Args:
        small: Size of the mask features.
        batch: Size of the padded input, to which they are enlarged.
        image: Size of the image within it.
        original: Original size of the image.
        like: Gives the matrix its data type and device.
        flip: Whether the image was flipped along this axis; the outputs are those of the original image.
        window: First and one after the last pixel of the image, where the input is only this part of it. What is beyond
            the window counts as its edge.

    Attributes:
        weights: (small, outputs).
        extent: The outputs: all of the original size, or those whose centres lie in the window.
    """

    def __init__(
        self,
        small: int,
        batch: int,
        image: int,
        original: int,
        like: Tensor,
        flip: bool = False,
        window: tuple[int, int] | None = None,
    ) -> None:
        self.small, self.batch, self.image, self.original = small, batch, image, original
        self.flip = flip
        self.window = first, last = window or (0, image)
        weights = torch.eye(small, dtype=like.dtype, device=like.device)[None]  # (1, small, small)
        weights = F.interpolate(weights, size=batch, mode='linear', align_corners=False)[..., : last - first]
        if image != original:
            weights = F.pad(weights, (first, image - last), mode='replicate')  # (1, small, image)
            weights = F.interpolate(weights, size=original, mode='linear', align_corners=False)
            weights = weights[..., original_extent(image, original, window=window)]
        self.weights = weights[0].flip(1) if flip else weights[0]
        self.extent = original_extent(image, original, flip, window)

    def inputs(self, outputs: slice) -> slice:
        """The inputs that some outputs depend on, and perhaps one more on each side."""
        first, last = outputs.start, outputs.stop - 1
        if self.flip:
            first, last = self.original - 1 - last, self.original - 1 - first
        if self.original != self.image:
            first, last = self._sources(first, last, self.original, self.image)
        begin, end = self.window
        first, last = (min(max(position, begin), end - 1) - begin for position in (first, last))
        if self.batch != self.small:
            first, last = self._sources(first, last, self.batch, self.small)
        return slice(first, last + 1)

    @staticmethod
    def _sources(first: int, last: int, outputs: int, inputs: int) -> tuple[int, int]:
        """First and last input of some outputs of one step."""
        # The sources lie at these positions, in exact arithmetic; the float's may lie beyond the next integer.
        return (
            max(floor((first + 0.5) * inputs / outputs - 0.5) - 1, 0),
            min(floor((last + 0.5) * inputs / outputs - 0.5) + 2, inputs - 1),
        )

    def weights_of(self, outputs: slice) -> tuple[slice, Tensor]:
        """The inputs of some outputs, and their weights (inputs, outputs)."""
        inputs = self.inputs(outputs)
        return inputs, self.weights[inputs, outputs.start - self.extent.start : outputs.stop - self.extent.start]

    def resize_last_axis(self, x: Tensor) -> Tensor:
        """All outputs along the last axis, (m, outputs), of inputs (m, small)."""
        offset = self.extent.start
        out = x.new_empty(len(x), self.weights.shape[1])
        for start in range(offset, self.extent.stop, MAX_OUTPUTS):
            stop = min(start + MAX_OUTPUTS, self.extent.stop)
            inputs, weights = self.weights_of(slice(start, stop))
            torch.mm(x[:, inputs], weights, out=out[:, start - offset : stop - offset])
        return out


def original_extent(image: int, original: int, flip: bool = False, window: tuple[int, int] | None = None) -> slice:
    """The original image's pixels along an axis whose centres lie in a window; arguments as those of `AxisResize`."""
    edges = (0, image) if window is None else window
    start, stop = (ceil(edge * original / image - 0.5) for edge in edges)
    return slice(original - stop, original - start) if flip else slice(start, stop)
