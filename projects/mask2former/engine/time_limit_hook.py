"""Fits the length of a training into a time, whatever an iteration turns out to take."""

import time
from collections import deque
from typing import Any

from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook
from mmengine.optim import _ParamScheduler
from mmengine.optim.scheduler.param_scheduler import CosineAnnealingParamScheduler, PolyParamScheduler
from mmengine.runner import Runner

from mask2former.errors import ConfigError
from mask2former.registry import HOOKS

from .schedule_hook import are_built

_INTERVAL = 10  # iterations from one look at the clock to the next
_WINDOW = 10  # such intervals, whose mean is what an iteration takes
_CHANGE = 0.05  # share of the iterations that are left; smaller changes wait


@HOOKS.register_module()
class TimeLimitHook(Hook):
    """Makes a training shorter or longer, so that it and its validations last as long as they may.

    ``train_cfg.max_iters`` is where it begins; from the first validation on, it may become longer, too. Cosine and
    polynomial schedules that last until the last iteration go on to last until it, without a step in the learning rate.
    A resumed training goes on with the seconds and the length of its checkpoint.

    Args:
        seconds: From the first iteration to the last validation.

    Raises:
        ConfigError: If ``seconds`` is not more than 0.
    """

    priority = 'HIGHEST'  # the other hooks, ScheduleHook among them, shall see the new length

    def __init__(self, seconds: float) -> None:
        if not seconds > 0:
            raise ConfigError(f'The seconds of TimeLimitHook must be more than 0, not {seconds}.')
        self.seconds = seconds
        self._begin = 0.0
        self._marks: deque[tuple[int, float]] = deque(maxlen=_WINDOW + 1)  # (iterations, seconds without validations)
        self._validations = 0
        self._validating = 0.0  # seconds, of all validations
        self._before = 0.0  # seconds of the training that was interrupted

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take the seconds and the length of a checkpoint to resume."""
        kept = checkpoint['meta'].get('time_limit') if runner._resume else None
        if kept:
            self._before = kept['seconds']
            set_length(runner, kept['max_iters'])

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep them."""
        checkpoint['meta']['time_limit'] = dict(seconds=self._elapsed(), max_iters=runner.max_iters)

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self._begin = time.monotonic()
        self._marks.append((runner.iter, 0.0))

    def before_val(self, runner: Runner) -> None:
        """Start the clock of a validation."""
        self._validating -= time.monotonic()

    def after_val(self, runner: Runner) -> None:
        """Stop it."""
        self._validating += time.monotonic()
        self._validations += 1

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Now and then, see how many iterations fit into the time; see :class:`mmengine.hooks.Hook`."""
        done = runner.iter + 1
        if done % _INTERVAL or done >= runner.max_iters:
            return
        shared = [self._fitting(runner, done)]
        broadcast_object_list(shared)  # the clocks of several processes differ
        length = shared[0]
        if abs(length - runner.max_iters) > _CHANGE * (runner.max_iters - done):
            runner.logger.info(
                f'After {self._elapsed():.0f} of {self.seconds:.0f} seconds, {done} iterations are done: the training '
                f'will have {length} instead of {runner.max_iters}.'
            )
            set_length(runner, length)
        runner.message_hub.update_scalar('train/max_iters', runner.max_iters)

    def _elapsed(self) -> float:
        return self._before + time.monotonic() - self._begin

    def _fitting(self, runner: Runner, done: int) -> int:
        """How many iterations fit into the time, at least one more than there were."""
        validation = self._validating / max(1, self._validations)
        self._marks.append((done, time.monotonic() - self._begin - self._validating))
        (first, start), (last, stop) = self._marks[0], self._marks[-1]
        step = (stop - start) / (last - first)
        left = self.seconds - self._elapsed()
        if runner.val_loop is not None:
            left -= validation  # the last one
            step += validation / runner.train_loop.val_interval
            if not self._validations:  # what it costs is not known
                left = min(left, step * (runner.max_iters - done))
        return done + max(1, round(left / step))


def set_length(runner: Runner, max_iters: int) -> None:
    """Change the number of a training's iterations, and its schedules with it."""
    loop, before = runner.train_loop, runner.max_iters
    loop._max_iters = max_iters
    for scheduler in runner.param_schedulers if are_built(runner.param_schedulers) else ():
        if not scheduler.by_epoch and scheduler.end == before:
            _stretch(scheduler, max_iters)


def _stretch(scheduler: _ParamScheduler, end: int) -> None:
    """Let a schedule last until another iteration: both kinds compute a rate from the one before and the end."""
    if isinstance(scheduler, CosineAnnealingParamScheduler) and scheduler.T_max == scheduler.end - scheduler.begin:
        scheduler.T_max = end - scheduler.begin
    elif isinstance(scheduler, PolyParamScheduler):
        scheduler.total_iters = end - scheduler.begin
    else:
        return
    scheduler.end = end
