"""Which parts that two tiles saw are of one segment."""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as mask_utils

from mask2former.formats.rle import encode_mask
from mask2former.ops.assignment import linear_sum_assignment

from .grid import Tile
from .parts import Part, slice_of


def match_parts(ours: Sequence[Part], theirs: Sequence[Part], min_iou: float) -> list[tuple[int, int]]:
    """Match the parts of two tiles one to one by what they have in the pixels that both tiles saw.

    Only things of one class match, and only if their masks there have an IoU of ``min_iou`` or more. Out of these, the
    sum of IoU times agreement of the scores is largest: of several queries for one object each tile's sure one
    finds the other's.

    Returns:
        list: Positions in ``ours`` and ``theirs``.
    """
    if not ours or not theirs:
        return []
    rows, columns = common(ours[0].tile, theirs[0].tile)
    a, b = (
        [i for i, part in enumerate(parts) if part.isthing and part.touches(rows, columns)] for parts in (ours, theirs)
    )
    if not a or not b:
        return []
    masks = [[encode_mask(parts[i].place(rows, columns)) for i in kept] for parts, kept in ((ours, a), (theirs, b))]
    iou = np.asarray(mask_utils.iou(masks[0], masks[1], [0] * len(b)))  # (len(a), len(b))
    labels = [np.array([parts[i].label for i in kept]) for parts, kept in ((ours, a), (theirs, b))]
    scores = [np.clip([parts[i].score for i in kept], 0, 1) for parts, kept in ((ours, a), (theirs, b))]
    agreement = np.sqrt(np.outer(*scores)) + np.sqrt(np.outer(1 - scores[0], 1 - scores[1]))
    same = (labels[0][:, None] == labels[1]) & (iou >= min_iou)
    pairs = linear_sum_assignment(np.where(same, iou * agreement, 0), maximize=True)
    return [(a[i], b[j]) for i, j in zip(*pairs) if same[i, j]]


def common(a: Tile, b: Tile) -> tuple[slice, slice]:
    """The rows and columns that two tiles share."""
    return slice_of(a.rows.start, a.rows.stop, b.rows), slice_of(a.columns.start, a.columns.stop, b.columns)
