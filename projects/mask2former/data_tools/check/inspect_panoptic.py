"""Checks of a panoptic PNG against the segments of the JSON file."""

import numpy as np

from mask2former.formats.panoptic_png import read_id_map_strictly, runs_of

from .boxes import compare_box
from .finding import Finding, measure_map
from .problem import Problem
from .source import Entry, Source, is_id

SHOWN = 8


def inspect_panoptic_map(entry: Entry, source: Source, finding: Finding) -> None:
    """Compare ids, areas and boxes, and measure the segments."""

    def report(kind: str, text: str) -> None:
        finding.problems.append(Problem(kind, entry.id, text))

    try:
        ids = read_id_map_strictly(entry.map_path)  # (H, W)
    except Exception as error:
        report('corrupt map', f'{entry.map_path}: {error}')
        return
    listed = {}
    for segment in entry.segments:
        if is_id(segment.get('id')) and segment['id']:
            listed.setdefault(segment['id'], segment)
    places = {id_: place for place, id_ in enumerate(listed, start=1)}
    runs, lengths = runs_of(ids)
    values, inverse = np.unique(runs, return_inverse=True)  # (V,), (R,)
    pixels = np.bincount(inverse, weights=lengths).astype(int)  # (V,)
    place_of = np.array([places.get(value, 0) for value in values.tolist()], dtype=np.int32)
    seg_map = np.repeat(place_of[inverse], lengths).reshape(ids.shape)
    measured = measure_map(seg_map, len(listed))

    categories = {category: place for place, category in enumerate(source.categories)}
    for (id_, segment), row in zip(listed.items(), measured):
        category = segment.get('category_id')
        row['category'] = categories.get(category, -1) if is_id(category) else -1
        row['crowd'] = bool(segment.get('iscrowd'))
        if not row['area']:
            if segment.get('area') != 0:
                report('id not in PNG', f'segment {id_} has no pixel in {entry.map_path}')
            continue
        if 'area' in segment and segment['area'] != row['area']:
            report('wrong area', f'segment {id_} has {row["area"]} pixels, the JSON file says {segment["area"]}')
        box_problem = compare_box(entry, segment, row)
        if box_problem is not None:
            finding.problems.append(box_problem)
    foreign = [
        (value, count) for value, count, place in zip(values.tolist(), pixels.tolist(), place_of) if value and not place
    ]
    if foreign:
        shown = ', '.join(f'{value} ({count} pixels)' for value, count in foreign[:SHOWN])
        report(
            'id not in JSON',
            f'{entry.map_path} has ids which no segment has: {shown}{" ..." if len(foreign) > SHOWN else ""}',
        )
    finding.segments = measured[measured['area'] > 0]
    finding.void = float((seg_map == 0).mean())
