"""Fits the schedules to the training: where it is resumed with other ones, and where they do not fit its length."""

import copy
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import _ParamScheduler
from mmengine.optim.scheduler.param_scheduler import (
    INF,
    ConstantParamScheduler,
    CosineAnnealingParamScheduler,
    LinearParamScheduler,
    MultiStepParamScheduler,
    PolyParamScheduler,
    ReduceOnPlateauParamScheduler,
)
from mmengine.runner import Runner

from mask2former.errors import ConfigError

# What a schedule's state says of its progress; all the rest follows from the config.
PROGRESS = ('last_step', '_global_step', '_last_value', 'verbose')


class ScheduleHook(Hook):
    """A resumed training takes the schedules of its config, and says in a line where they are not the checkpoint's.

    mmengine takes all of a schedule from the checkpoint, its end included, so that a training that is made longer goes
    on with a learning rate of nearly zero, and a new learning rate is passed over. Where nothing of a schedule has
    changed, this hook does nothing.
    """

    def __init__(self) -> None:
        self._saved: list[dict] | None = None
        self._fresh: list[dict] = []
        self._values: dict[str, list[tuple[Any, Any]]] = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note what a checkpoint to resume says, and how the schedules of the config begin."""
        schedulers = runner.param_schedulers
        if not runner._resume or not isinstance(checkpoint.get('param_schedulers'), list) or not are_built(schedulers):
            return
        self._saved = checkpoint['param_schedulers']
        self._fresh = [copy.deepcopy(scheduler.state_dict()) for scheduler in schedulers]
        self._values = {
            scheduler.param_name: [
                (group[scheduler.param_name], group[f'initial_{scheduler.param_name}'])
                for group in scheduler.optimizer.param_groups
            ]
            for scheduler in schedulers
        }

    def before_train(self, runner: Runner) -> None:
        """Take the schedules of the config, where they are others, and say what does not fit the training's length.

        Raises:
            ConfigError: If the learning rate is zero long before the training ends.
        """
        schedulers = runner.param_schedulers
        if not are_built(schedulers):
            return
        if self._saved is not None:
            saved, self._saved = self._saved, None
            changes = list(differences(saved, self._fresh))
            if changes and not any(isinstance(s, ReduceOnPlateauParamScheduler) for s in schedulers):
                self._start_again(runner, schedulers)
                rate = max(group['lr'] for group in schedulers[0].optimizer.param_groups)
                print_log(
                    f"The config's schedule is not the checkpoint's ({', '.join(changes)}): training goes on with the "
                    f"config's, from iteration {runner.iter} of it, where the learning rate is {rate:.3g}.",
                    'current',
                    logging.WARNING,
                )
        for sentence in misfits(schedulers, runner.max_iters):
            print_log(sentence, 'current', logging.WARNING)

    def _start_again(self, runner: Runner, schedulers: Sequence[_ParamScheduler]) -> None:
        """Go through the schedules from their beginning to the present iteration."""
        for name, values in self._values.items():
            for group, (value, initial) in zip(schedulers[0].optimizer.param_groups, values):
                group.update({name: value, f'initial_{name}': initial})
        for scheduler, state in zip(schedulers, self._fresh):
            scheduler.load_state_dict(state)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)  # torch's, of steps without the optimizer's
            for by_epoch, steps in ((False, runner.iter), (True, runner.epoch)):
                some = [scheduler for scheduler in schedulers if scheduler.by_epoch == by_epoch]
                for _ in range(steps if some else 0):
                    for scheduler in some:
                        scheduler.step()


def are_built(schedulers: Any) -> bool:
    """Whether these are the schedules of one optimizer, ready to run."""
    return isinstance(schedulers, list) and bool(schedulers) and isinstance(schedulers[0], _ParamScheduler)


def differences(saved: Sequence[dict], fresh: Sequence[dict]) -> Iterator[str]:
    """What is different between the states of schedules, apart from their progress."""
    if len(saved) != len(fresh):
        yield f'{len(fresh)} parts instead of {len(saved)}'
        return
    for old, new in zip(saved, fresh):
        for key in sorted(set(old) | set(new)):
            if key in PROGRESS or old.get(key) == new.get(key):
                continue
            if key == 'base_values':
                yield f'{new["param_name"]} {max(new[key]):.3g} instead of {max(old[key]):.3g}'
            else:
                yield f'{key} {_short(new.get(key))} instead of {_short(old.get(key))}'


def _short(value: Any) -> str:
    return str(sorted(value)) if isinstance(value, dict) else str(value)


def misfits(schedulers: Iterable[_ParamScheduler], max_iters: int) -> Iterator[str]:
    """A sentence for each schedule that does not fit the length of the training.

    Raises:
        ConfigError: If the learning rate is zero long before the training ends.
    """
    timed = [(index, s) for index, s in enumerate(schedulers) if not s.by_epoch and s.end < INF]
    for index, scheduler in timed:
        kind, end = type(scheduler).__name__, scheduler.end
        if rises(scheduler) and end > max_iters:
            yield (
                f'The warm-up lasts until iteration {end}, but max_iters is {max_iters}: the learning rate never '
                f"reaches the optimizer's; lower the end of schedule {index} ({kind}), or train longer."
            )
        elif end > max_iters:
            yield (
                f'{kind} lasts until iteration {end}, but max_iters is {max_iters}: training ends before the learning '
                f'rate has fallen; set the end of schedule {index}, too.'
            )
        elif isinstance(scheduler, MultiStepParamScheduler):
            late = sorted(step for step in scheduler.milestones if scheduler.begin + step >= max_iters)
            if late:
                yield (
                    f'{kind} has the milestones {late}, but max_iters is {max_iters}: they are never reached; set the '
                    f'milestones of schedule {index}, too.'
                )
    index, last = max(timed, key=lambda pair: pair[1].end, default=(0, None))
    if last is None or last.end >= max_iters or len(timed) < len(list(schedulers)):
        return
    kind, rest = type(last).__name__, max_iters - last.end
    if falls_to_zero(last):
        raise ConfigError(
            f'{kind} brings the learning rate to zero at iteration {last.end}, but max_iters is {max_iters}: the last '
            f'{rest} iterations would learn nothing; set the end of schedule {index} in param_scheduler, too.'
        )
    if not rises(last):
        yield (
            f'{kind} ends at iteration {last.end}, but max_iters is {max_iters}: for the last {rest} iterations the '
            'learning rate stays as it is then.'
        )


def rises(scheduler: _ParamScheduler) -> bool:
    """Whether this is a warm-up."""
    if isinstance(scheduler, LinearParamScheduler):
        return scheduler.start_factor < scheduler.end_factor
    return isinstance(scheduler, ConstantParamScheduler) and scheduler.factor < 1


def falls_to_zero(scheduler: _ParamScheduler) -> bool:
    """Whether nothing is left of the learning rate where this schedule ends."""
    if isinstance(scheduler, PolyParamScheduler):
        return not scheduler.eta_min
    if not isinstance(scheduler, CosineAnnealingParamScheduler) or scheduler.eta_min or scheduler.eta_min_ratio:
        return False
    return scheduler.T_max == scheduler.end - scheduler.begin
