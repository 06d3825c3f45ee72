"""A short training with ``tools/train.py``, on the device and on the CPU."""

import json
import math
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from mask2former.data_tools.shapes import generate_shapes

from .settings import ROOT, Settings, log_output, start_method

CONFIG = ROOT / 'configs/shapes/mask2former_efficientnet-lite0_shapes-panoptic.py'


def check(settings: Settings, part: str) -> Iterator[dict]:
    """Loss, quality and seconds on each device."""
    folder = settings.folder / 'training'
    num_train, num_val, side = (4, 2, 64) if settings.small else (400, 50, 192)
    generate_shapes(folder / 'data/shapes', num_train=num_train, num_val=num_val, size=(side, side))
    rows = []
    for device in dict.fromkeys([settings.device, 'cpu']):
        iterations = 2 if settings.small else 200
        rows.append(settings.measure(dict(device=device), train, device, folder, iterations, settings))
        yield rows[-1]
    if settings.device != 'cpu':
        yield compare_quality(*rows)


def compare_quality(ours: dict, cpu: dict) -> dict[str, object]:
    """Whether the panoptic quality of a device is near enough to the CPU's, if there are both."""
    case = dict(device=ours['device'], compared_with='cpu')
    if 'PQ' in ours and 'PQ' in cpu:
        return dict(case, ratio=ours['PQ'] / cpu['PQ'] if cpu['PQ'] else None, ok=ours['PQ'] >= cpu['PQ'] / 2)
    return dict(case, skipped='one of the two trainings has no result')


def train(device: str, folder: Path, iterations: int, settings: Settings) -> dict[str, object]:
    """Train and validate while there is time."""
    if device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    options = {
        'train_cfg.max_iters': iterations,
        'train_cfg.val_interval': iterations,
        'randomness.seed': 0,
        'default_hooks.logger.interval': max(1, iterations // 10),
    }
    arguments = [str(CONFIG), '--work-dir', device, '--cfg-options', *(f'{k}={v}' for k, v in options.items())]
    start, log = time.perf_counter(), folder / f'{device}.log'
    process = start_method(settings.device).Process(
        target=run_tool, args=(ROOT / 'tools/train.py', arguments, folder, log)
    )
    process.start()
    seconds = settings.left()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        raise subprocess.TimeoutExpired('train.py', seconds)
    if process.exitcode:
        raise RuntimeError(f'tools/train.py failed: {log.read_text(errors="replace")[-3000:]}')
    [scalars] = (folder / device).glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    last = [line for line in lines if 'loss' in line][-1]
    quality = lines[-1]['PQ']
    return dict(
        iterations=iterations,
        loss=last['loss'],
        seconds_of_iteration=last['time'],
        PQ=quality,
        seconds=time.perf_counter() - start,
        ok=math.isfinite(last['loss']) and (settings.small or quality > 0),
    )


def run_tool(script: Path, arguments: list[str], folder: Path, log: Path) -> None:
    """In its own process: run a tool in a folder."""
    log_output(log)
    os.chdir(folder)
    sys.argv = [str(script), *arguments]
    runpy.run_path(str(script), run_name='__main__')
