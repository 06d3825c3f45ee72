"""COCO's run-length encoding (RLE) of masks that are seen strip by strip, without ever having a mask as a whole."""

import numpy as np
import torch
from torch import Tensor

from mask2former.formats.rle import encode_edges

WORD = 8  # bytes


class StripEncoder:
    """Encodes n masks (H, W) from strips of columns, given from left to right, each once or in parts of the masks.

    Only the positions where a column changes between outside and inside are kept: a column is a run of pixels in COCO's
    encoding, too. The result is that of ``pycocotools.mask.encode``.

    Args:
        num_masks: n.
        height: H.
        width: W.
    """

    def __init__(self, num_masks: int, height: int, width: int) -> None:
        self.num_masks, self.height, self.width = num_masks, height, width
        self.mask_index: list[np.ndarray] = []
        self.positions: list[np.ndarray] = []  # in Fortran order

    def add(self, columns: slice, mask_index: Tensor, inside: Tensor) -> None:
        """Add some masks' part of a strip; a mask that is never added for a strip has no pixel there.

        Args:
            columns: Which columns.
            mask_index: (n',) int64 on the CPU, the masks that may have pixels there.
            inside: (columns, n', H) bool.
        """
        num_columns, n, H = inside.shape
        stride = -(-(H + 1) // WORD) * WORD
        padded = inside.new_zeros(num_columns, n, stride + 1)
        padded[..., 1 : H + 1] = inside
        edges = _flat_nonzero(padded[..., 1:] != padded[..., :-1])  # in (columns, n', stride)
        column_of_mask, y = np.divmod(edges, stride)
        x, i = np.divmod(column_of_mask, n)
        self.mask_index.append(mask_index.numpy().astype(np.uint16)[i])
        self.positions.append((x + columns.start) * H + y)

    def finish(self) -> tuple[list[dict], Tensor]:
        """The n encoded masks, and their tight boxes (n, 4) float32 as x1, y1, x2, y2; zeros where a mask is empty."""
        mask_index = np.concatenate([np.zeros(0, np.uint16), *self.mask_index])
        # Stable: positions of a mask stay ascending. Of 16 bits, numpy sorts in linear time.
        order = np.argsort(mask_index, kind='stable')
        positions = np.concatenate([np.zeros(0, np.int64), *self.positions])[order]
        ends = np.cumsum(np.bincount(mask_index, minlength=self.num_masks))[:-1]
        parts = np.split(positions, ends) if self.num_masks else []
        boxes = np.array([self._box(part) for part in parts], np.float32).reshape(-1, 4)
        return [encode_edges(part, self.height, self.width) for part in parts], torch.from_numpy(boxes)

    def _box(self, positions: np.ndarray) -> tuple[int, int, int, int]:
        """The box of a mask of which every second position is where it begins in a column, the others where it ends."""
        if not len(positions):
            return 0, 0, 0, 0
        H, first, last = self.height, positions[::2], positions[1::2] - 1
        return first[0] // H, (first % H).min(), last[-1] // H + 1, (last % H).max() + 1


def _flat_nonzero(values: Tensor) -> np.ndarray:
    """``values.flatten().nonzero()`` (t,) int64 on the CPU, for few entries of a bool tensor of whole words."""
    if values.device.type != 'cpu':
        return values.flatten().nonzero().flatten().cpu().numpy()
    # Looking through words first is several times as fast.
    words = values.numpy().reshape(-1, WORD)
    not_zero = np.flatnonzero(words.view(np.uint64).ravel() != 0)
    word, byte = words[not_zero].nonzero()
    return not_zero[word] * WORD + byte
