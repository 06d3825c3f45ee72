"""Checks of the segments of a COCO file against their pixels: panoptic PNG files, polygons and RLE."""

import numpy as np
from pycocotools import mask as mask_utils

from mask2former.datasets.transforms.instance_segments import MAX_LAYERS, InstanceLayers
from mask2former.formats.panoptic_png import read_id_map, read_id_map_strictly, runs_of
from mask2former.formats.rle import check_segmentation, closed_polygons, from_segmentation

from .kinds import Problems
from .measure import SEGMENT, measure_map, measure_mask
from .report import ImageReport
from .source import BOX_SLACK, Entry, Source, is_box, is_id

SHOWN_IDS = 8


def inspect_panoptic_map(entry: Entry, path: str, source: Source, report: ImageReport) -> None:
    """Compare ids, areas and boxes with the PNG, and measure the segments."""
    problems = report.problems
    try:
        ids = read_id_map_strictly(path)  # (H, W)
        with open(path, 'rb') as file:
            is_png = file.read(4) == b'\x89PNG'
        if not is_png:
            read_id_map(path)  # by OpenCV, as in a training, which knows fewer formats
    except Exception as error:
        problems.add('corrupt map', entry.id, f'{path}: {error}')
        return
    listed: dict[int, dict] = {}
    for segment in entry.segments:
        if is_id(segment.get('id')) and segment['id']:
            listed.setdefault(segment['id'], segment)
    numbers = {id_: number for number, id_ in enumerate(listed, start=1)}
    runs, lengths = runs_of(ids)
    values, inverse = np.unique(runs, return_inverse=True)  # (V,), (R,)
    pixels = np.bincount(inverse, weights=lengths).astype(int)  # (V,)
    number_of = np.array([numbers.get(value, 0) for value in values.tolist()], dtype=np.int32)  # (V,)
    seg_map = np.repeat(number_of[inverse], lengths).reshape(ids.shape)
    measured = measure_map(seg_map, len(listed))
    for (id_, segment), row in zip(listed.items(), measured):
        row['category'], row['crowd'] = source.index_of(segment), bool(segment.get('iscrowd'))
        if not row['area']:
            if segment.get('area') != 0:
                problems.add('id not in PNG', entry.id, f'segment {id_} has no pixel in {path}')
            continue
        if 'area' in segment and segment['area'] != row['area']:
            text = f'segment {id_} has {row["area"]} pixels, the JSON file says {segment["area"]}'
            problems.add('wrong area', entry.id, text)
        _compare_box(segment, entry, row, problems)
    foreign = [
        f'{value} ({count} pixels)'
        for value, count, number in zip(values.tolist(), pixels.tolist(), number_of)
        if value and not number
    ]
    if foreign:
        shown = ', '.join(foreign[:SHOWN_IDS]) + (' ...' if len(foreign) > SHOWN_IDS else '')
        problems.add('id not in JSON', entry.id, f'{path} has ids which no segment has: {shown}')
    report.segments = measured[measured['area'] > 0]
    learnt = np.array([False] + [source.is_of_class(segment) for segment in listed.values()])
    report.void_share = float(1 - learnt[seg_map].mean())


def inspect_masks(entry: Entry, source: Source, report: ImageReport) -> None:
    """Compare sizes, areas and boxes with polygons and RLE, and measure the instances and how they overlap."""
    assert entry.size is not None  # entries without are refused
    (width, height), problems = entry.size, report.problems
    layers = np.zeros((height, width), dtype=np.uint16)  # instances at each pixel, crowd left out
    any_mask = np.zeros((height, width), dtype=bool)
    stack = InstanceLayers((height, width), len(entry.segments))
    may_be_stacked = len(entry.segments) > MAX_LAYERS
    rows = []
    for segment in entry.segments:
        segmentation, name = segment.get('segmentation'), f'segment {segment.get("id")}'
        if not segmentation:
            continue
        try:
            if isinstance(segmentation, dict) and list(segmentation['size']) != [height, width]:
                text = f'the RLE of {name} is of size {segmentation["size"]}, its image of {[height, width]}'
                problems.add('wrong mask size', entry.id, f'{text} (height, width)')
                continue
            check_segmentation(segmentation, height, width)
            rle = from_segmentation(segmentation, height, width)
            mask = mask_utils.decode(rle)  # (H, W) uint8
        except Exception as error:
            problems.add('malformed entry', entry.id, f'{name}: {error!r}')
            continue
        if not mask.any():
            problems.add('empty mask', entry.id, f'the mask of {name} has no pixel')
            continue
        x, y, columns, lines = (int(value) for value in mask_utils.toBbox(rle))
        row = measure_mask(mask, (x, y, columns, lines))
        row['category'], row['crowd'] = source.index_of(segment), bool(segment.get('iscrowd'))
        rows.append(row)
        if source.is_of_class(segment):
            any_mask |= mask.view(bool)
            if not row['crowd'][0]:
                layers += mask
                if may_be_stacked and len(stack.layers) <= MAX_LAYERS:
                    stack.add(1, mask.view(bool), (x, y, columns, lines))
        _compare_area(segment, entry, row[0], problems)
        polygons = segmentation if isinstance(segmentation, list) else None
        _compare_box(segment, entry, row[0], problems, polygons)
    if len(stack.layers) > MAX_LAYERS:
        text = f'over {MAX_LAYERS} instances lie over one another: remove the doubled ones'
        problems.add('stacked instances', entry.id, text)
    report.segments = np.concatenate(rows) if rows else np.zeros(0, SEGMENT)
    report.void_share = float(1 - any_mask.mean())
    report.covered, report.overlapped = int((layers > 0).sum()), int((layers > 1).sum())


def _compare_area(segment: dict, entry: Entry, row: np.void, problems: Problems) -> None:
    """Report an area that is not that of the mask; that of a polygon may differ by what lies along its outline.

    COCO's own crowd areas are not those of its masks, and nothing reads them.
    """
    area = segment.get('area')
    if area is None or row['crowd']:
        return
    slack = int(row['width'] + row['height']) + 0.1 * row['area'] if isinstance(segment['segmentation'], list) else 0.5
    if not isinstance(area, (int, float)) or not abs(area - int(row['area'])) <= slack:
        text = f'segment {segment.get("id")} has {row["area"]} pixels, the JSON file says {area!r}'
        problems.add('wrong area', entry.id, text)


def _compare_box(segment: dict, entry: Entry, row: np.void, problems: Problems, polygons: list | None = None) -> None:
    """Report a box that is not that of the mask.

    The box of polygons may also be that of their points: their tips are thinner than a pixel.
    """
    box = segment.get('bbox')
    if not is_box(box) or box[2] <= 0 or box[3] <= 0:
        return  # reported already
    x, y, width, height = (int(row[key]) for key in ('x', 'y', 'width', 'height'))
    right: list[tuple[float, ...]] = [(x, y, x + width, y + height)]
    if polygons is not None:
        right.append(_corners(closed_polygons(polygons), entry))
    given = (box[0], box[1], box[0] + box[2], box[1] + box[3])
    if all(max(abs(one - two) for one, two in zip(given, corners)) > BOX_SLACK for corners in right):
        text = f'segment {segment.get("id")} has the box {box}, its mask {[x, y, width, height]}'
        problems.add('wrong box', entry.id, text)


def _corners(polygons: list[list[float]], entry: Entry) -> tuple[float, ...]:
    """(left, top, right, bottom) of the points of polygons, within the image."""
    assert entry.size is not None
    points = ([value for polygon in polygons for value in polygon[axis::2]] for axis in (0, 1))
    xs, ys = ([min(max(value, 0), side) for value in values] for values, side in zip(points, entry.size))
    return min(xs), min(ys), max(xs), max(ys)
