"""Checks of a class-id PNG: whether each value has a meaning."""

import numpy as np

from mask2former.errors import DataError
from mask2former.formats.class_png import read_class_ids

from .finding import Finding, measure_map
from .problem import Problem
from .source import Entry, Source

NO_CLASS_IDS = 'no class ids'
SHOWN = 8


def read_labels(values: np.ndarray, label_table: np.ndarray) -> np.ndarray:
    """Look up the labels ``(H, W)`` int32 of pixel values: -1 is void, -2 has no meaning."""
    inside = (values >= 0) & (values < len(label_table))
    return np.where(inside, label_table[np.where(inside, values, 0)], -2)


def inspect_class_ids(entry: Entry, source: Source, finding: Finding) -> None:
    """Report values without a meaning and images without a class, and measure each class as one segment."""

    def report(kind: str, text: str) -> None:
        finding.problems.append(Problem(kind, entry.id, text))

    try:
        values = read_class_ids(entry.map_path)  # (H, W)
    except DataError as error:
        report('corrupt map', str(error))
        return
    labels = read_labels(values, source.label_table)
    unknown = labels == -2
    if unknown.any():
        finding.unknown.update(dict(zip(*(part.tolist() for part in np.unique(values[unknown], return_counts=True)))))
        shown = ', '.join(f'{value} ({count} pixels)' for value, count in finding.unknown.most_common(SHOWN))
        report(
            'unknown value',
            f'{entry.map_path} has values that are neither a class nor ignore_index: {shown}'
            f'{" ..." if len(finding.unknown) > SHOWN else ""}',
        )
    seg_map = np.maximum(labels + 1, 0)
    measured = measure_map(seg_map, len(source.categories))
    measured['category'] = np.arange(len(measured))
    finding.segments = measured[measured['area'] > 0]
    finding.void = float((seg_map == 0).mean())
