"""What is found in one image, and the measures of its segments."""

from collections import Counter
from dataclasses import dataclass, field

import cv2
import numpy as np
from scipy import ndimage

from .problem import Problem

# category: place in Source.categories, -1 if unknown; area in pixels; x to height: the box of the mask;
# pieces: 8-connected components.
SEGMENT = np.dtype(
    [
        ('category', 'i4'),
        ('area', 'i4'),
        ('x', 'i4'),
        ('y', 'i4'),
        ('width', 'i4'),
        ('height', 'i4'),
        ('pieces', 'i4'),
        ('crowd', '?'),
    ]
)


@dataclass
class Finding:
    """What was found in one image.

    Attributes:
        problems (list[Problem]): Faults.
        size (tuple[int, int], optional): (width, height) of the image as the pipeline loads it.
        segments (np.ndarray): ``(N,)`` of the dtype ``SEGMENT``, those that have pixels.
        void (float, optional): Share of the pixels that belong to no segment.
        covered (int): Pixels in one instance or more, crowd left out; of instance data only.
        overlapped (int): Pixels in two instances or more, crowd left out; of instance data only.
        unknown (Counter): Pixels of each value of a class-id PNG that has no meaning.
        digest (bytes, optional): Hash of the image file.
        look (np.ndarray, optional): ``(32,)`` uint8, a perceptual hash of 256 bits.
    """

    problems: list[Problem] = field(default_factory=list)
    size: tuple[int, int] | None = None
    segments: np.ndarray = field(default_factory=lambda: np.zeros(0, SEGMENT))
    void: float | None = None
    covered: int = 0
    overlapped: int = 0
    unknown: Counter = field(default_factory=Counter)
    digest: bytes | None = None
    look: np.ndarray | None = None


def measure_map(seg_map: np.ndarray, count: int) -> np.ndarray:
    """Measure all segments of a map.

    Args:
        seg_map (np.ndarray): ``(H, W)`` integers: 0 is none, ``i`` is segment ``i - 1``.
        count (int): N.

    Returns:
        np.ndarray: ``(N,)`` of the dtype ``SEGMENT``; all 0 where a segment has no pixel.
    """
    measured = np.zeros(count, SEGMENT)
    for place, box in enumerate(ndimage.find_objects(seg_map, count)):
        if box is not None:
            _measure(measured[place : place + 1], seg_map[box] == place + 1, box[1].start, box[0].start)
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
