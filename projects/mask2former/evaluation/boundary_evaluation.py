"""faster-coco-eval's evaluator with Boundary IoU, whose boundaries are found only where they decide."""

import math
from collections.abc import Callable

import cv2
import numpy as np
from faster_coco_eval import COCOeval_faster

from mask2former.formats.rle import box_of, decode_mask

from .label_boundary import DILATION_RATIO

Edge = tuple[int, int, np.ndarray, int]  # left and top px of a crop (h, w) bool, and the number of pixels in it


class BoundaryEvaluation(COCOeval_faster):
    """Of each pair the IoU is the smaller one of mask IoU and boundary IoU, and of a crowd the mask IoU.

    Source: Cheng et al., Boundary IoU, CVPR 2021, https://arxiv.org/abs/2103.16562. A pair whose mask IoU is below all
    thresholds keeps it: it cannot match, whatever its boundaries. Make it with ``iouType='segm'``.
    """

    def computeIoU(self, imgId: int, catId: int) -> list | np.ndarray:  # noqa: N802, N803
        """The IoUs ``(detections, objects)`` of an image and category; none where either is missing."""
        ious = super().computeIoU(imgId, catId)
        if len(ious) == 0:
            return ious
        truth, found = (
            dataset.get_instances([imgId], [catId], True)[0][0] for dataset in (self.gt_dataset, self.dt_dataset)
        )
        found = sorted(found, key=lambda d: -d['score'])  # the rows: equal scores stay in order
        edge_of_row, edge_of_column = _edges(found), _edges(truth)
        for row, column in zip(*np.nonzero(ious >= min(self.params.iouThrs) - 1e-6)):
            if not truth[column].get('iscrowd', 0):
                share = _edge_iou(edge_of_row(row), edge_of_column(column))
                ious[row, column] = min(ious[row, column], share)
        return ious


def _edges(instances: list[dict]) -> Callable[[int], Edge]:
    """A function that gives the boundary of an instance, found once."""
    known = {}

    def edge(index: int) -> Edge:
        if index not in known:
            rle = instances[index]['rle']
            x, y, width, height = (int(value) for value in box_of(rle))
            mask = decode_mask(rle)[y : y + height, x : x + width].view(np.uint8)
            # Outside of the crop is background, as it is in the image and beyond.
            rounds = max(1, round(DILATION_RATIO * math.hypot(*rle['size'])))
            inner = cv2.erode(
                mask, np.ones((3, 3), np.uint8), iterations=rounds, borderType=cv2.BORDER_CONSTANT, borderValue=0
            )
            boundary = mask != inner
            known[index] = x, y, boundary, int(np.count_nonzero(boundary))
        return known[index]

    return edge


def _edge_iou(first: Edge, second: Edge) -> float:
    """IoU of two boundaries, each with at least a pixel."""
    left, top = max(first[0], second[0]), max(first[1], second[1])
    right, bottom = (min(edge[axis] + edge[2].shape[1 - axis] for edge in (first, second)) for axis in (0, 1))
    crops = [edge[2][top - edge[1] : bottom - edge[1], left - edge[0] : right - edge[0]] for edge in (first, second)]
    shared = np.count_nonzero(crops[0] & crops[1])
    return shared / (first[3] + second[3] - shared)
