"""A resumed training takes a changed schedule; what does not fit the length of the training is said."""

import copy
import re

import pytest
import torch
from mmengine.registry import PARAM_SCHEDULERS

from mask2former.engine.schedule_hook import ScheduleHook, misfits
from mask2former.errors import ConfigError
from tests.tiny import train

WARM_UP = dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=4)


def cosine(end: int, **kwargs) -> list[dict]:
    return [
        WARM_UP,
        dict(type='CosineAnnealingLR', T_max=end - 4, eta_min=0.0, by_epoch=False, begin=4, end=end, **kwargs),
    ]


def poly(end: int) -> list[dict]:
    return [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=end, by_epoch=False)]


def steps(end: int, *milestones: int) -> list[dict]:
    return [dict(type='MultiStepLR', milestones=list(milestones), gamma=0.1, begin=0, end=end, by_epoch=False)]


class Training:
    """An optimizer with two learning rates, its schedules, and what a hook needs of a runner."""

    def __init__(self, schedules: list[dict], max_iters: int, lr: float = 0.1) -> None:
        groups = [dict(params=[torch.nn.Parameter(torch.ones(1))], lr=rate) for rate in (lr, lr / 10)]
        self.optimizer = torch.optim.SGD(groups, lr=lr)
        self.param_schedulers = [PARAM_SCHEDULERS.build(dict(s, optimizer=self.optimizer)) for s in schedules]
        self.max_iters, self.iter, self.epoch, self._resume = max_iters, 0, 0, True

    def run(self, until: int) -> list[tuple[float, ...]]:
        """The learning rates of the iterations from here on."""
        rates = []
        while self.iter < until:
            rates.append(tuple(group['lr'] for group in self.optimizer.param_groups))
            self.optimizer.step()
            for scheduler in self.param_schedulers:
                scheduler.step()
            self.iter += 1
        return rates

    def save(self) -> dict:
        states = [scheduler.state_dict() for scheduler in self.param_schedulers]
        return copy.deepcopy(dict(param_schedulers=states, optimizer=self.optimizer.state_dict(), iter=self.iter))

    def resume(self, checkpoint: dict) -> None:
        """As mmengine does, with the hook."""
        hook, checkpoint = ScheduleHook(), copy.deepcopy(checkpoint)
        hook.after_load_checkpoint(self, checkpoint)
        self.iter = checkpoint['iter']
        self.optimizer.load_state_dict(checkpoint['optimizer'])
        for scheduler, state in zip(self.param_schedulers, checkpoint['param_schedulers']):
            scheduler.load_state_dict(state)
        hook.before_train(self)


@pytest.fixture
def said(monkeypatch) -> list[str]:
    lines = []
    monkeypatch.setattr('mask2former.engine.schedule_hook.print_log', lambda line, *args: lines.append(line))
    return lines


@pytest.mark.parametrize('schedule', [cosine, poly, lambda end: steps(end, end // 2, end - 2)])
@pytest.mark.parametrize('at', [2, 7, 12])
def test_a_longer_training_has_the_rates_of_one_that_was_as_long_from_the_beginning(said, schedule, at):
    uninterrupted = Training(schedule(20), 20).run(20)
    short = Training(schedule(12), 12)
    short.run(at)
    longer = Training(schedule(20), 20)
    longer.resume(short.save())
    assert longer.run(20) == uninterrupted[at:]
    [line] = said
    assert 'end 20 instead of 12' in line and f'from iteration {at} of it' in line
    rate = float(re.search(r'the learning rate is (\S+)\.$', line)[1])
    assert rate == pytest.approx(max(uninterrupted[at]), rel=0.01) and rate > 0.005


def test_without_the_hook_the_rate_would_be_gone():
    short = Training(cosine(12), 12)
    short.run(12)
    assert short.optimizer.param_groups[0]['lr'] < 0.01
    assert Training(cosine(20), 20).run(20)[12][0] > 0.04


@pytest.mark.parametrize('schedule', [cosine(12), poly(12), steps(12, 5, 10), [WARM_UP]])
def test_what_has_not_changed_is_not_touched(said, schedule):
    first = Training(schedule, 12)
    first.run(6)
    saved = first.save()
    second = Training(schedule, 12)
    second.resume(saved)
    again = second.save()
    assert again == saved and not said
    assert first.run(12) == second.run(12)


def test_a_part_that_the_short_training_had_left_out_comes_in(said):
    short = Training([WARM_UP], 3)
    short.run(3)
    longer = Training(cosine(20), 20)
    longer.resume(short.save())
    assert longer.run(20) == Training(cosine(20), 20).run(20)[3:]
    assert '2 parts instead of 1' in said[0]


def test_a_new_learning_rate_counts(said):
    first = Training(cosine(12), 12, lr=0.1)
    first.run(6)
    second = Training(cosine(12), 12, lr=0.02)
    second.resume(first.save())
    assert second.run(12) == Training(cosine(12), 12, lr=0.02).run(12)[6:]
    assert 'lr 0.02 instead of 0.1' in said[0]


@pytest.mark.parametrize(
    ('schedules', 'max_iters', 'sentences'),
    [
        (cosine(20), 20, []),
        (poly(20), 20, []),
        (steps(20, 5, 10), 20, []),
        ([dict(WARM_UP)], 20, []),
        ([dict(type='ConstantLR', factor=0.1, by_epoch=False, begin=0, end=6)], 20, []),
        ([dict(type='MultiStepLR', milestones=[5], by_epoch=False)], 20, []),
        ([dict(type='MultiStepLR', milestones=[100], by_epoch=True, end=120)], 20, []),
        ([WARM_UP], 3, ['The warm-up lasts until iteration 4, but max_iters is 3: the learning rate never reaches']),
        (poly(20), 8, ['PolyLR lasts until iteration 20, but max_iters is 8: training ends before the learning rate']),
        (steps(8, 5, 10), 8, [r'MultiStepLR has the milestones \[10\], but max_iters is 8: they are never reached']),
        (steps(20, 5, 10), 30, ['MultiStepLR ends at iteration 20, but max_iters is 30: for the last 10 iterations']),
    ],
)
def test_what_does_not_fit_is_one_sentence(schedules, max_iters, sentences):
    found = list(misfits(Training(schedules, max_iters).param_schedulers, max_iters))
    assert len(found) == len(sentences)
    for sentence, line in zip(sentences, found):
        assert re.search(sentence, line) and '\n' not in line


@pytest.mark.parametrize('schedules', [cosine(20), poly(20)])
def test_a_rate_of_zero_long_before_the_end_is_refused(schedules):
    with pytest.raises(ConfigError, match='to zero at iteration 20, but max_iters is 30: the last 10 it'):
        list(misfits(Training(schedules, 30).param_schedulers, 30))


def test_a_resumed_training_of_the_runner(run, tmp_path):
    options = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
    options['param_scheduler'] = [dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False)]
    full = train(run.config, work_dir=str(tmp_path / 'full'), train_cfg__max_iters=6, **options)
    train(run.config, work_dir=str(tmp_path / 'half'), train_cfg__max_iters=3, **options)
    longer = train(
        run.config,
        work_dir=str(tmp_path / 'longer'),
        train_cfg__max_iters=6,
        resume=True,
        load_from=str(tmp_path / 'half' / 'iter_3.pth'),
        **options,
    )
    rates = [runner.message_hub.get_scalar('train/lr').data[0][3:] for runner in (full, longer)]
    assert rates[0].tolist() == rates[1].tolist() and rates[1].min() > 0
    log = next((tmp_path / 'longer').rglob('*.log')).read_text()
    assert "The config's schedule is not the checkpoint's (T_max 6 instead of 3, end 6 instead of 3)" in log

    with pytest.raises(ConfigError, match='checkpoint is of iteration 6, but train_cfg.max_iters is 3: raise'):
        train(
            run.config,
            work_dir=str(tmp_path / 'shorter'),
            train_cfg__max_iters=3,
            resume=True,
            load_from=str(tmp_path / 'full' / 'iter_6.pth'),
            **options,
        )


@pytest.mark.parametrize(
    ('interval', 'sentence'),
    [
        (0, 'whole numbers of iterations from 1 on, not 0: to train'),
        (-5, 'whole numbers of iterations from 1 on, not -5: to train'),
        (1.5, "takes a whole number for 'val_interval', not 1.5"),  # by the check of the config
    ],
)
def test_val_interval_must_be_a_number_of_iterations(run, tmp_path, interval, sentence):
    with pytest.raises(ConfigError, match=sentence):
        train(run.config, work_dir=str(tmp_path), train_cfg__val_interval=interval)
