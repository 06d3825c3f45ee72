"""Measures of the masks of segments."""

import cv2
import numpy as np
from scipy import ndimage

# category: index in Source.categories, -1 if unknown; area in pixels; x to height: the box of the mask;
# pieces: 8-connected components.
SEGMENT = np.dtype(
    [(key, 'i4') for key in ('category', 'area', 'x', 'y', 'width', 'height', 'pieces')] + [('crowd', '?')]
)


def measure_map(seg_map: np.ndarray, count: int) -> np.ndarray:
    """Measure all segments of a map.

    Args:
        seg_map: ``(H, W)`` integers: 0 is none, ``i`` is segment ``i - 1``.
        count: N.

    Returns:
        np.ndarray: ``(N,)`` of the dtype ``SEGMENT``; all 0 where a segment has no pixel.
    """
    measured = np.zeros(count, SEGMENT)
    for index, box in enumerate(ndimage.find_objects(seg_map, count)):
        if box is not None:
            _measure(measured[index : index + 1], seg_map[box] == index + 1, box[1].start, box[0].start)
    return measured


def measure_mask(mask: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Measure one mask ``(H, W)`` uint8 with its box xywh: ``(1,)`` of the dtype ``SEGMENT``."""
    x, y, width, height = box
    measured = np.zeros(1, SEGMENT)
    _measure(measured, mask[y : y + height, x : x + width] > 0, x, y)
    return measured


def _measure(row: np.ndarray, part: np.ndarray, x: int, y: int) -> None:
    """Fill ``row`` ``(1,)`` from the mask ``(height, width)`` within its box, whose corner is (x, y)."""
    row['area'] = np.count_nonzero(part)
    row['x'], row['y'] = x, y
    row['height'], row['width'] = part.shape
    row['pieces'] = cv2.connectedComponents(np.ascontiguousarray(part).view(np.uint8), connectivity=8)[0] - 1
