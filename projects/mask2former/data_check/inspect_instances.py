"""Checks of the polygons and run-length codes of an instance file."""

import math
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from .boxes import compare_box
from .finding import SEGMENT, Finding, measure_mask
from .problem import Problem
from .source import Entry, Source, is_id

# Coordinates beyond this are no mistake of drawing; pycocotools would walk along the whole way.
FARTHEST = 1e6


def to_rle(segmentation: Any, height: int, width: int) -> dict:
    """Return the run-length dict of COCO polygons or of either form of RLE, as ``LoadInstanceSegments`` reads them.

    Raises:
        ValueError: pycocotools would not notice that it is malformed, or would break.
        Exception: What pycocotools raises.
    """
    if isinstance(segmentation, list):
        # Under three points nothing is enclosed, and pycocotools takes four numbers for a box.
        polygons = [polygon for polygon in segmentation if len(polygon) >= 6] or [[0.0] * 6]
        if not all(
            isinstance(value, (int, float)) and math.isfinite(value) and abs(value) < FARTHEST
            for polygon in polygons
            for value in polygon
        ):
            raise ValueError('a polygon has values that are no coordinates')
        return mask_utils.merge(mask_utils.frPyObjects(polygons, height, width))
    counts = segmentation['counts']
    lengths = np.array(counts) if isinstance(counts, list) else run_lengths(counts)
    if lengths.dtype.kind != 'i' or lengths.min() < 0 or lengths.sum() != height * width:
        raise ValueError(f'the counts of its RLE do not make {height} x {width} pixels')
    if list(segmentation['size']) != [height, width]:
        raise ValueError(f'its RLE is of the size {segmentation["size"]}')
    return mask_utils.frPyObjects(segmentation, height, width) if isinstance(counts, list) else segmentation


def run_lengths(counts: str | bytes) -> np.ndarray:
    """Return the lengths ``(R,)`` int64 of the runs of a compressed RLE.

    Each is written in groups of 5 bits, lowest first, in signs from '0' on, where bit 5 says that more follow; from the
    fourth on it is the difference from the last but one. pycocotools reads on behind the end of a malformed one.

    Raises:
        ValueError: No such code.
    """
    code = np.frombuffer(counts.encode('ascii') if isinstance(counts, str) else counts, np.uint8).astype(np.int64) - 48
    if not len(code) or code.min() < 0 or code.max() > 63 or code[-1] & 32:
        raise ValueError('the counts of its RLE are no code')
    ends = np.flatnonzero(code & 32 == 0)  # (R,)
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(code)) - np.repeat(starts, ends + 1 - starts)
    if place.max() > 6:
        raise ValueError('the counts of its RLE are too large')
    lengths = np.add.reduceat((code & 31) << 5 * place, starts)
    lengths -= (code[ends] & 16 > 0) * (1 << 5 * (place[ends] + 1))  # the highest bit is the sign
    for first in (1, 2):
        lengths[first::2] = np.cumsum(lengths[first::2])
    return lengths


def inspect_masks(entry: Entry, source: Source, finding: Finding) -> None:
    """Compare sizes, areas and boxes, and measure the instances and how they overlap."""

    def report(kind: str, text: str) -> None:
        finding.problems.append(Problem(kind, entry.id, text))

    width, height = entry.size
    categories = {category: place for place, category in enumerate(source.categories)}
    layers = np.zeros((height, width), dtype=np.uint16)  # instances at each pixel, crowd left out
    any_mask = np.zeros((height, width), dtype=bool)
    rows = []
    for segment in entry.segments:
        segmentation, name = segment.get('segmentation'), f'segment {segment.get("id")}'
        if not segmentation:
            continue
        try:
            if isinstance(segmentation, dict) and list(segmentation['size']) != [height, width]:
                report(
                    'wrong mask size',
                    f'the RLE of {name} is of size {segmentation["size"]}, its image of '
                    f'{[height, width]} (height, width)',
                )
                continue
            rle = to_rle(segmentation, height, width)
            mask = mask_utils.decode(rle)  # (H, W) uint8
        except Exception as error:
            report('malformed entry', f'{name}: {error!r}')
            continue
        if not mask.any():
            report('empty mask', f'the mask of {name} has no pixel')
            continue
        row = measure_mask(mask, tuple(int(value) for value in mask_utils.toBbox(rle)))
        category = segment.get('category_id')
        row['category'] = categories.get(category, -1) if is_id(category) else -1
        row['crowd'] = bool(segment.get('iscrowd'))
        rows.append(row)
        any_mask |= mask.view(bool)
        if not row['crowd'][0]:
            layers += mask
        _compare_area(segment, name, row[0], report)
        box_problem = compare_box(entry, segment, row[0])
        if box_problem is not None:
            finding.problems.append(box_problem)
    finding.segments = np.concatenate(rows) if rows else np.zeros(0, SEGMENT)
    finding.void = float(1 - any_mask.mean())
    finding.covered, finding.overlapped = int((layers > 0).sum()), int((layers > 1).sum())


def _compare_area(segment: dict, name: str, row: np.void, report: Any) -> None:
    """Report an area that is not that of the mask; that of a polygon may differ by what lies along its outline.

    COCO's own crowd areas are not those of its masks, and nothing reads them.
    """
    area = segment.get('area')
    if area is None or row['crowd']:
        return
    slack = int(row['width'] + row['height']) + 0.1 * row['area'] if isinstance(segment['segmentation'], list) else 0.5
    if not isinstance(area, (int, float)) or not abs(area - row['area']) <= slack:
        report('wrong area', f'{name} has {row["area"]} pixels, the JSON file says {area!r}')
