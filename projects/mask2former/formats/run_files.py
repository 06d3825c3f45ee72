"""Reads what a training leaves in its work directory: its log, and the curve of its validations."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mask2former.errors import DataError

Curve = list[dict[str, float]]


def read_steps(work_dir: Path) -> list[tuple[int, dict[str, float]]]:
    """Each logged iteration of a training, from all of its logs, with what was logged last of it: ``loss``, and
    ``time``, the seconds of an iteration with its share of loading data. Lines that are none are left out."""
    steps = {int(row['step']): row for row in _logged_rows(work_dir) if 'loss' in row}
    return sorted(steps.items(), key=lambda item: item[0])


def read_validations(work_dir: Path) -> Curve:
    """The validations in the logs of a training, as :func:`read_curve` has them."""
    others = {'step', 'iter', 'time', 'data_time'}
    rows = [row for row in _logged_rows(work_dir) if 'loss' not in row and set(row) - others and row['step'] > 0]
    found = {int(row['step']): row for row in rows}
    return [dict(row, iter=step) for step, row in sorted(found.items())]


def _logged_rows(work_dir: Path) -> Iterator[dict[str, float]]:
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_bytes().splitlines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):  # the last line of a killed training
                continue
            if _is_row(row, 'step'):
                yield row


def read_curve(folder: Path) -> Curve:
    """What ``CurveHook`` left in a run's folder; empty where there is nothing yet.

    Raises:
        DataError: If the file is none of it.
    """
    path = folder / 'curve.json'
    if not path.is_file():
        return []
    try:
        points = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        points = None
    if not isinstance(points, list) or not all(_is_row(point, 'iter') for point in points):
        raise DataError(f"'{path}' is no curve of a training: remove it, or copy it again.")
    return points


def _is_row(row: Any, counter: str) -> bool:
    """Whether it is an object of numbers, of which metrics and losses may be infinite, and one of them a count."""
    return (
        isinstance(row, dict)
        and all(isinstance(value, float) or isinstance(value, int) and abs(value) < 2**53 for value in row.values())
        and all(math.isfinite(row.get(key, 0)) for key in ('time', 'seconds', 'max_iters'))
        and isinstance(row.get(counter), int)
    )
