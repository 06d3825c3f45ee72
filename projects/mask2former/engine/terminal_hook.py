"""Shows a run in the terminal: what it is, how far it is, losses, metrics."""

import shlex
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import Runner

from mask2former.evaluation.tables import summary_table
from mask2former.registry import HOOKS

from .run_summary import run_summary, shown_path
from .terminal import Progress, quieten, say


@HOOKS.register_module()
class TerminalHook(Hook):
    """Shows in the terminal what a person wants to see of a run; the log file has everything.

    Where the output is a terminal there is a line that moves, and the losses stand above it at the interval of the
    ``LoggerHook``. Elsewhere (a pipe, a file) there are plain lines with the losses. Of several processes the first one
    shows. ``default_hooks=dict(terminal=None)`` is mmengine's terminal, which shows the whole log.

    Args:
        seconds: From one plain line to the next.
    """

    priority = 'NORMAL'  # after the timer, before LoggerHook sets the peak of the GPU memory back

    def __init__(self, seconds: float = 30.0) -> None:
        self.seconds = seconds
        self._lines: dict[str, Progress] = {}
        self._begin = 0.0

    def before_run(self, runner: Runner) -> None:
        """Say what runs."""
        quieten(runner.logger)
        self._begin = time.monotonic()
        if is_main_process():
            say(run_summary(runner))

    def before_train(self, runner: Runner) -> None:
        """Begin the line of the training."""
        self._open('train', runner.max_iters, runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Move the line, and show the losses where it is time to; see :class:`mmengine.hooks.Hook`."""
        line = self._lines.get('train')
        if line is None:
            return
        line.set_total(runner.max_iters)  # a TimeLimitHook may have changed it
        interval = next((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), 50)
        left = _time_left(runner)
        loss = _value(runner, 'loss', 1)
        short = left if loss is None else f'{left}, loss {loss:.2f}'
        line.advance(short, lambda: f'{left}, {_losses(runner, interval)}')
        step = runner.iter + 1
        if line.moves and step % interval == 0:
            say(f'{step:>{len(str(line.total))}}/{line.total}  {_losses(runner, interval)}')

    def after_train(self, runner: Runner) -> None:
        """Say that the training is over, and how long it took."""
        if 'train' in self._lines:
            self.close()
            seconds = round(time.monotonic() - self._begin)
            after = f'is reached, after {timedelta(seconds=seconds)}'
            if runner.train_loop.stop_training and runner.iter < runner.max_iters:
                say(f'Iteration {runner.iter} of {runner.max_iters} {after}: it was stopped early, the log says why.')
            else:
                say(f'Iteration {runner.iter} {after}.')
            best, last = (runner.message_hub.runtime_info.get(f'{name}_ckpt') for name in ('best', 'last'))
            checkpoint = best or last
            if checkpoint and runner.cfg.filename:
                say(f'Test it: {_test_command(runner, checkpoint)}')

    def before_val_epoch(self, runner: Runner) -> None:
        """Begin the line of a validation."""
        self._open('validate', len(runner.val_dataloader), 0)

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin the line of a test."""
        self._open('test', len(runner.test_dataloader), 0)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence | None = None
    ) -> None:
        """Move the line; see :class:`mmengine.hooks.Hook`."""
        self._advance(runner, 'validate')

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence | None = None
    ) -> None:
        """Move the line; see :class:`mmengine.hooks.Hook`."""
        self._advance(runner, 'test')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Show the metrics."""
        self._show_metrics(runner, 'validate', f'Validation after iteration {runner.iter}', metrics)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Show the metrics."""
        self._show_metrics(runner, 'test', 'Test', metrics)

    def close(self) -> None:
        """Take all lines away."""
        for line in self._lines.values():
            line.close()
        self._lines.clear()

    def _open(self, title: str, total: int, done: int) -> None:
        if is_main_process():
            self._lines[title] = Progress(title, total, done, self.seconds)

    def _advance(self, runner: Runner, title: str) -> None:
        if title in self._lines:
            left = _time_left(runner)
            self._lines[title].advance(left, lambda: left)

    def _show_metrics(self, runner: Runner, title: str, heading: str, metrics: dict[str, float] | None) -> None:
        if title in self._lines:
            self._lines.pop(title).close()
        if metrics:
            runner.logger.info(f'{heading}, in percent\n{summary_table(metrics)}')


def _test_command(runner: Runner, checkpoint: str) -> str:
    """How to test a checkpoint, with the config that the run wrote: its options are in it."""
    tool = 'tools/test.py' if Path('tools/test.py').is_file() else '-m mask2former test'
    written = Path(runner.work_dir) / Path(runner.cfg.filename).name
    config = written if written.is_file() else runner.cfg.filename
    return f'python {tool} {shlex.join(map(shown_path, (str(config), str(checkpoint))))}'


def _value(runner: Runner, name: str, window: int) -> float | None:
    """Mean of the last values of the training that mmengine keeps under a name."""
    history = runner.message_hub.log_scalars.get(f'train/{name}')
    return None if history is None else float(history.mean(window))


def _time_left(runner: Runner) -> str:
    """What is left of the loop by the mean time of an iteration, by mmengine's timer hook."""
    seconds = runner.message_hub.runtime_info.get('eta')
    return '' if seconds is None else f'{timedelta(seconds=round(seconds))} left'


def _losses(runner: Runner, window: int) -> str:
    """Losses, rate, gradient norm, time and memory: means of the last ``window`` iterations, in one line."""
    names = [key.removeprefix('train/') for key in runner.message_hub.log_scalars if key.startswith('train/')]
    values = {name: _value(runner, name, window) for name in names}
    parts = [f'{name.removeprefix("loss_")} {values[name]:.3f}' for name in names if name.startswith('loss_')]
    total = f'loss {values["loss"]:.3f} ' if 'loss' in values else ''
    cells = [f'{total}({", ".join(parts)})' if parts else total.strip()]
    rate = _value(runner, 'base_lr' if 'base_lr' in names else 'lr', 1)
    if rate is not None:
        cells.append(f'lr {rate:.2g}')
    if 'grad_norm' in names:
        cells.append(f'gradient {values["grad_norm"]:.3g}')
    if 'time' in names:
        cells.append(f'{values["time"]:.3g} s an iteration')
    if torch.cuda.is_available():
        cells.append(f'{torch.cuda.max_memory_allocated() / 1e9:.1f} GB')
    return ', '.join(cells)
