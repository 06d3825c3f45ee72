"""Bilinear resizing along one axis as a matrix product."""

from math import floor

import torch
import torch.nn.functional as F
from torch import Tensor

# Outputs that one product makes of the few inputs they depend on: wider blocks multiply more zeros.
BLOCK = 256


class AxisResize:
    """What brings the mask features' size to the original one along an axis: enlarge, cut the padding off, resize.

    Both steps are linear, so together they are a matrix. It has few entries in a row, side by side; the products here
    leave the zeros beside them out. The entries are those that ``F.interpolate`` uses.

    Args:
        small (int): Size of the mask features.
        batch (int): Size of the padded input, to which they are enlarged.
        image (int): Size of the image within it.
        original (int): Size of the image as it came.
        like (Tensor): Gives the matrix its data type and device.
    """

    def __init__(self, small: int, batch: int, image: int, original: int, like: Tensor) -> None:
        self.sizes = [(original, image), (batch, small)]  # (outputs, inputs) of the steps, the last one first
        weights = torch.eye(small, dtype=like.dtype, device=like.device)[None]  # (1, small, small)
        weights = F.interpolate(weights, size=batch, mode='linear', align_corners=False)[..., :image]
        if image != original:
            weights = F.interpolate(weights, size=original, mode='linear', align_corners=False)
        self.weights = weights[0]  # (small, original)

    def inputs(self, start: int, stop: int) -> slice:
        """The inputs that the outputs from ``start`` to before ``stop`` depend on, and perhaps one more a side."""
        first, last = start, stop - 1
        for outputs, inputs in self.sizes:
            if outputs != inputs:
                # The sources lie at these places, in exact arithmetic; the float's may lie beyond the next integer.
                first = max(floor((first + 0.5) * inputs / outputs - 0.5) - 1, 0)
                last = min(floor((last + 0.5) * inputs / outputs - 0.5) + 2, inputs - 1)
        return slice(first, last + 1)

    def last_axis(self, x: Tensor) -> Tensor:
        """All outputs along the last axis, (m, original), of inputs (m, small)."""
        original = self.weights.shape[1]
        out = x.new_empty(len(x), original)
        for start in range(0, original, BLOCK):
            stop = min(start + BLOCK, original)
            inputs = self.inputs(start, stop)
            torch.mm(x[:, inputs], self.weights[inputs, start:stop], out=out[:, start:stop])
        return out
