"""Reads what a training leaves in its work directory."""

import json
from pathlib import Path


def read_steps(work_dir: Path) -> list[tuple[int, dict[str, float]]]:
    """Each logged iteration of a training, from all of its logs, with what was logged last of it: ``loss``, and
    ``time``, the seconds of an iteration with its share of loading data."""
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
