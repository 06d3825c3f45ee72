"""How good the result of one image is, to find the best and the worst."""

from collections.abc import Sequence

import numpy as np
from mmdet.structures import DetDataSample
from pycocotools import mask as mask_utils

from mask2former.evaluation.truth import TrueSegment
from mask2former.ops.assignment import linear_sum_assignment
from mask2former.predictions import segments

_SCORE = 0.3  # objects that are less sure do not count, as in pictures


def image_score(truth: Sequence[TrueSegment], predicted: Sequence[TrueSegment]) -> float:
    """The mean IoU of the segments of an image, in percent, where truth and result are matched one to one.

    A segment that has no partner of its class counts as 0, a pair once. Where there is nothing and nothing was found,
    it is 100.
    """
    if not truth and not predicted:
        return 100.0
    if not truth or not predicted:
        return 0.0
    iou = mask_utils.iou([row.mask for row in predicted], [row.mask for row in truth], [0] * len(truth))  # (P, T)
    same = np.array([row.label for row in predicted])[:, None] == np.array([row.label for row in truth])[None]
    iou = np.where(same, iou, 0.0)
    rows, columns = linear_sum_assignment(-iou)
    matched = iou[rows, columns]
    return 100 * float(matched.sum() / (len(truth) + len(predicted) - (matched > 0).sum()))


def predicted_segments(sample: DetDataSample, field: str) -> list[TrueSegment]:
    """What a model found in an image, in the terms of the truth; see :func:`mask2former.predictions.segments`."""
    return [TrueSegment(found.label, found.rle) for found in segments.predicted_segments(sample, field, _SCORE)]
