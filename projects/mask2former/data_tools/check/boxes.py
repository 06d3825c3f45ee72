"""Checks of the boxes of COCO's files: xywh in pixels."""

import math

import numpy as np

from .problem import Problem
from .source import Entry, Source

# What a box may lie beside the image or the mask: boxes of polygons have fractions of pixels.
SLACK = 1.0


def is_box(box: object) -> bool:
    """Whether it is a list of four finite numbers."""
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(value, (int, float)) and math.isfinite(value) for value in box)
    )


def check_box(source: Source, entry: Entry, segment: dict) -> None:
    """Report a box that is malformed, empty or outside the image."""
    box, name = segment['bbox'], f'segment {segment.get("id")}'
    if not is_box(box):
        source.add('malformed box', entry.id, f'{name} has the box {box!r}: write [x, y, width, height]')
        return
    width, height = entry.size
    if box[2] <= 0 or box[3] <= 0:
        if segment.get('area') != 0:
            source.add('empty box', entry.id, f'{name} has the box {box}')
    elif min(box[0], box[1]) < -SLACK or box[0] + box[2] > width + SLACK or box[1] + box[3] > height + SLACK:
        source.add('box outside', entry.id, f'{name} has the box {box} in an image of {width} x {height}')


def compare_box(entry: Entry, segment: dict, measured: np.void) -> Problem | None:
    """Say where a box is not that of the mask, by more than a pixel at a side.

    The box of polygons may also be that of their points: their tips are thinner than a pixel.

    Args:
        entry (Entry): The image.
        segment (dict): With ``bbox``, or without.
        measured (np.void): Of the dtype ``SEGMENT``.
    """
    box = segment.get('bbox')
    if not is_box(box) or box[2] <= 0 or box[3] <= 0:
        return None  # it was reported already
    x, y, width, height = (int(measured[key]) for key in ('x', 'y', 'width', 'height'))
    found = [(x, y, x + width, y + height)]
    if isinstance(segment.get('segmentation'), list):
        polygons = [polygon for polygon in segment['segmentation'] if len(polygon) >= 6]
        found.append(_corners(polygons, entry.size))
    said = (box[0], box[1], box[0] + box[2], box[1] + box[3])
    if any(max(abs(one - two) for one, two in zip(said, corners)) <= SLACK for corners in found):
        return None
    return Problem(
        'wrong box', entry.id, f'segment {segment.get("id")} has the box {box}, its mask {[x, y, width, height]}'
    )


def _corners(polygons: list[list[float]], size: tuple[int, int]) -> tuple[float, ...]:
    """(left, top, right, bottom) of the points of polygons, within the image."""
    xs = [value for polygon in polygons for value in polygon[0::2]]
    ys = [value for polygon in polygons for value in polygon[1::2]]
    xs, ys = ([min(max(value, 0), side) for value in values] for values, side in zip((xs, ys), size))
    return min(xs), min(ys), max(xs), max(ys)
