"""Checks of the polygons and run-length codes of an instance file."""

from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from mask2former.formats.rle import check_segmentation, from_segmentation

from .boxes import compare_box
from .finding import SEGMENT, Finding, measure_mask
from .problem import Problem
from .source import Entry, Source, is_id


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
            check_segmentation(segmentation, height, width)
            rle = from_segmentation(segmentation, height, width)
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
