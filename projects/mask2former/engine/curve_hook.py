"""Keeps what each validation measured, with the iterations and the time that the training had taken until then."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mask2former.formats.files import write_text
from mask2former.formats.run_files import Curve, read_curve
from mask2former.registry import HOOKS


@HOOKS.register_module()
class CurveHook(Hook):
    """Writes ``curve.json`` into the work directory: a list with one object for each validation of a training.

    An object has ``iter``, ``max_iters``, ``seconds`` and all metrics. ``seconds`` is the time of the training steps
    alone, without loading of data, validation and checkpoints. On CPUs it is the processor's time, of all threads
    together, so that other processes of a busy machine take little part in it. A resumed training goes on with the
    curve and the seconds of its checkpoint, and an interrupted last validation is made up for.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._started = 0.0
        self._curve: Curve = []

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take the seconds of a checkpoint to resume."""
        if runner._resume:
            self._seconds = checkpoint['meta'].get('train_seconds', 0.0)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the seconds."""
        checkpoint['meta']['train_seconds'] = self._seconds

    def before_train(self, runner: Runner) -> None:
        """Read the curve of a resumed training, up to its checkpoint."""
        if runner.iter:
            self._curve = [point for point in read_curve(Path(runner.work_dir)) if point['iter'] <= runner.iter]

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Start the clock."""
        self._started = _now()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: dict | None = None
    ) -> None:
        """Stop the clock."""
        self._seconds += _now() - self._started

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Add a point; a second validation after an iteration replaces the first."""
        self._curve = [point for point in self._curve if point['iter'] != runner.iter]
        point = dict(iter=runner.iter, max_iters=runner.max_iters, seconds=round(self._seconds, 3))
        self._curve.append(point | dict(metrics or {}))
        if runner.rank == 0:
            write_text(Path(runner.work_dir) / 'curve.json', json.dumps(self._curve, indent=1) + '\n')

    def after_train(self, runner: Runner) -> None:
        """Validate, if the training was interrupted in its last validation."""
        if runner.val_loop is not None and (not self._curve or self._curve[-1]['iter'] != runner.iter):
            runner.val_loop.run()


def _now() -> float:
    """Seconds of some clock: of the GPU's work where there is one, else of this process's."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()
