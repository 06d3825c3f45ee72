"""Reads what a training leaves in its work directory."""

import json
from pathlib import Path


def read_losses(work_dir: Path) -> list[tuple[int, float]]:
    """(iteration, loss) of a training, from all of its logs; the last of each iteration."""
    return [(step, row['loss']) for step, row in _read_steps(work_dir)]


def read_pace(work_dir: Path) -> float | None:
    """Seconds that an iteration took lately, with its share of loading data; None where nothing was logged."""
    steps = _read_steps(work_dir)
    return steps[-1][1].get('time') if steps else None


def _read_steps(work_dir: Path) -> list[tuple[int, dict[str, float]]]:
    """Each logged iteration, with what was logged last of it."""
    steps = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text(encoding='utf-8').splitlines():
            try:
                row = json.loads(line)
            except ValueError:  # the last line of a killed training
                continue
            if 'loss' in row and 'step' in row:
                steps[int(row['step'])] = row
    return sorted(steps.items(), key=lambda item: item[0])
