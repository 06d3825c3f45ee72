"""The boundary regions of all segments of a label map, as Boundary IoU defines them."""

import math

import cv2
import numpy as np

DILATION_RATIO = 0.02  # of the image's diagonal: the paper's value for COCO, LVIS and Cityscapes


def label_boundary(labels: np.ndarray, ratio: float = DILATION_RATIO) -> np.ndarray:
    """Mark the pixels that lie at most ``d`` pixels from another label or from the image's edge.

    Restricted to one label this is the boundary of that label's mask in Cheng et al., Boundary IoU, CVPR 2021
    (https://arxiv.org/abs/2103.16562): what ``d`` erosions by a 3 x 3 square take away, ``d`` being the ratio of the
    diagonal, rounded, and at least 1. A pixel survives the erosion of its own label's mask where the smallest and the
    largest label around it are equal, so that two passes treat all labels at once.

    Args:
        labels: ``(H, W)`` integers from 0 to 65534.
        ratio: Of the image's diagonal.

    Returns:
        np.ndarray: ``(H, W)`` bool.
    """
    rounds = max(1, round(ratio * math.hypot(*labels.shape)))
    shifted: np.ndarray = labels.astype(np.uint16) + np.uint16(1)  # 0 is what lies outside
    if shifted.max(initial=0) < 256:
        shifted = shifted.astype(np.uint8)  # twice as fast
    square = np.ones((3, 3), dtype=np.uint8)
    eroded, dilated = (
        morph(shifted, square, iterations=rounds, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        for morph in (cv2.erode, cv2.dilate)
    )
    return (eroded != shifted) | (dilated != shifted)
