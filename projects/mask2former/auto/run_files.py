"""Reads what a training leaves in its work directory."""

import json
from pathlib import Path


def read_losses(work_dir: Path) -> list[tuple[int, float]]:
    """(iteration, loss) of a training, from all of its logs; the last of each iteration."""
    losses = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text(encoding='utf-8').splitlines():
            try:
                row = json.loads(line)
            except ValueError:  # the last line of a killed training
                continue
            if 'loss' in row and 'step' in row:
                losses[int(row['step'])] = float(row['loss'])
    return sorted(losses.items())
