"""Say how a training is going, from its files: mask2former info RUN [--json]"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from mask2former.checkpoints.in_folder import checkpoints_in
from mask2former.errors import MissingFileError
from mask2former.formats.run_files import read_curve, read_steps, read_validations


def run_info(folder: Path) -> dict[str, Any]:
    """What the files of a training say of it.

    Args:
        folder: Of ``mask2former train``, or the work directory of ``tools/train.py``.

    Returns:
        dict: ``work_dir``; ``iteration`` and ``loss`` of the last logged step; ``max_iters`` where a config says it;
        ``seconds_since``, how long ago something was logged; ``curve``, the validations; ``checkpoints``, the best ones
        first; ``seconds_left``, of training alone, by its last pace; ``failures``, files of steps that failed;
        ``report``, None while there is none.

    Raises:
        MissingFileError: If there is no such training.
        DataError: If its ``curve.json`` is broken.
    """
    work_dir = folder / 'train' if (folder / 'train').is_dir() else folder
    steps, logs = read_steps(work_dir), sorted(work_dir.glob('*/vis_data/scalars.json'))
    logs = logs or sorted(work_dir.glob('*/*.log'))  # nothing was logged of an iteration yet
    if not logs:
        raise MissingFileError(f"'{folder}' has no log of a training: give the folder of one.")
    iteration, last = steps[-1] if steps else (0, {})
    curve = read_curve(work_dir) or read_validations(work_dir)
    saved = [int(path.stem.removeprefix('iter_')) for path in checkpoints_in(work_dir) if path.stem.startswith('iter_')]
    # Losses are logged now and then only.
    iteration = max([iteration, *(int(point['iter']) for point in curve), *saved])
    report = folder / 'report.html'
    max_iters, pace = _max_iters(work_dir, [last, *curve]), last.get('time')
    return dict(
        work_dir=str(work_dir),
        iteration=iteration,
        max_iters=max_iters,
        seconds_left=None if max_iters is None or pace is None else _bounded(max(0, max_iters - iteration) * pace),
        loss=last.get('loss'),
        seconds_since=round(time.time() - logs[-1].stat().st_mtime),
        curve=curve,
        checkpoints=[
            str(path) for path in (*sorted(work_dir.glob('best_*.pth')), *sorted(work_dir.glob('iter_*.pth')))
        ],
        failures=[str(path) for path in sorted(work_dir.glob('failures/*.pth'))],
        report=str(report) if report.is_file() else None,
    )


def _bounded(seconds: float) -> int:
    """A time that can be shown, at most 30 years."""
    return round(min(max(seconds, 0.0), 1e9))


def _max_iters(work_dir: Path, logged: Sequence[Mapping[str, float]]) -> int | None:
    """The iterations of the newest run: of its last logged step or validation, as its length may change, or of its
    config."""
    known = [(row.get('step', row.get('iter', 0)), int(row['max_iters'])) for row in logged if 'max_iters' in row]
    if known:
        return max(known)[1]
    configs = sorted(work_dir.glob('*/vis_data/config.py'))
    if not configs:
        return None
    from mmengine.config import Config  # takes a second, which most commands do not need

    return Config.fromfile(configs[-1], import_custom_modules=False).get('train_cfg', {}).get('max_iters')


def describe(info: dict[str, Any]) -> str:
    """The same for people."""
    of = f' of {info["max_iters"]}' if info['max_iters'] else ''
    loss = '' if info['loss'] is None else f', loss {info["loss"]:.3g}'
    left = f', {timedelta(seconds=info["seconds_left"])} left' if info['seconds_left'] else ''
    lines = [
        f'iteration   {info["iteration"]}{of}{loss}{left}',
        f'last logged {timedelta(seconds=info["seconds_since"])} ago',
    ]
    for point in info['curve']:
        metrics = ', '.join(f'{name} {point[name]:.1f}' for name in ('PQ', 'segm_mAP', 'mIoU') if name in point)
        lines.append(f'validation  after {point["iter"]}: {metrics}')
    lines += [f'checkpoint  {path}' for path in info['checkpoints']]
    lines += [f'failure     {path}: replay it with tools/misc/replay_failure.py' for path in info['failures']]
    if info['report'] or Path(info['work_dir']).name == 'train':  # tools/train.py writes none
        lines.append(f'report      {info["report"] or "none yet"}')
    return '\n'.join(lines)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog='mask2former info', description='Say how a training is going.')
    parser.add_argument('run', help='folder of a training')
    parser.add_argument('--json', action='store_true', help='print a JSON object')
    args = parser.parse_args()
    info = run_info(Path(args.run))
    print(json.dumps(info) if args.json else describe(info))
