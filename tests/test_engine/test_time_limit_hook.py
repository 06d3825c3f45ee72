"""A training lasts as long as it may, whatever an iteration takes; its schedule ends with it."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import PARAM_SCHEDULERS

from mask2former.auto.info_command import run_info
from mask2former.engine import TimeLimitHook, time_limit_hook
from mask2former.errors import ConfigError
from tests.tiny import train, write_config

WARM_UP = dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20)
COSINE = dict(type='CosineAnnealingLR', T_max=180, eta_min=0.0, by_epoch=False, begin=20, end=200)
POLY = dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin=20, end=200)


class Simulation:
    """A training of 200 planned iterations and a validation after every 40, by a clock that only work moves."""

    def __init__(self, monkeypatch, step, validation, schedule=COSINE):
        self.step, self.validation, self.now = step, validation, 1000.0
        monkeypatch.setattr(time_limit_hook, 'time', SimpleNamespace(monotonic=lambda: self.now))
        self.optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
        self.param_schedulers = [
            PARAM_SCHEDULERS.build(dict(cfg, optimizer=self.optimizer)) for cfg in (WARM_UP, schedule)
        ]
        self.train_loop = SimpleNamespace(_max_iters=200, val_interval=40)
        self.val_loop = object() if validation else None
        self.iter, self._resume = 0, False
        self.logger = SimpleNamespace(info=lambda line: None)
        self.message_hub = MessageHub('simulation')
        self.rates = []

    @property
    def max_iters(self):
        return self.train_loop._max_iters

    def run(self, hook, until=10**9):
        """Train; returns the seconds that it took."""
        begin = self.now
        hook.before_train(self)
        while self.iter < min(until, self.max_iters):
            self.now += self.step(self.iter)
            self.rates.append(self.optimizer.param_groups[0]['lr'])
            hook.after_train_iter(self, 0)
            self.optimizer.step()
            for scheduler in self.param_schedulers:
                scheduler.step()
            self.iter += 1
            if self.validation and (self.iter % 40 == 0 or self.iter == self.max_iters):
                hook.before_val(self)
                self.now += self.validation
                hook.after_val(self)
        return self.now - begin


@pytest.mark.parametrize('schedule', [COSINE, POLY], ids=['cosine', 'poly'])
@pytest.mark.parametrize(
    ('step', 'iterations'),
    [
        (lambda i: 1.0, (195, 209)),
        (lambda i: 1.6, (128, 138)),
        (lambda i: 0.5, (338, 354)),
        (lambda i: 3.0 if 60 <= i < 100 else 1.0, (115, 133)),  # other programs ran for a while
        (lambda i: 3.0 if i < 10 else 1.0, (180, 190)),
        (lambda i: 1.0 if i < 150 else 2.0, (174, 184)),
    ],
    ids=['as planned', 'slower', 'faster', 'slow for a while', 'slow at first', 'slow at last'],
)
def test_a_training_ends_in_time_and_its_rate_goes_to_zero(monkeypatch, step, iterations, schedule):
    training = Simulation(monkeypatch, step, validation=8.0, schedule=schedule)
    seconds = training.run(TimeLimitHook(seconds=200 + 6 * 8))
    assert 0.94 * 248 < seconds < 1.03 * 248
    assert iterations[0] <= training.max_iters <= iterations[1]
    falling = training.rates[20:]
    assert max(falling) == pytest.approx(0.1)
    assert all(later <= earlier for earlier, later in itertools.pairwise(falling))
    steps = [earlier - later for earlier, later in itertools.pairwise(falling)]
    assert max(steps) < 0.0035  # no jump
    assert falling[-1] < 0.004


def test_without_validations(monkeypatch):
    training = Simulation(monkeypatch, lambda i: 0.5, validation=0)
    assert training.run(TimeLimitHook(seconds=200)) == pytest.approx(200, rel=0.02)


def test_time_that_is_over_ends_it_after_the_next_iteration(monkeypatch):
    training = Simulation(monkeypatch, lambda i: 100.0, validation=0)
    training.run(TimeLimitHook(seconds=50))
    assert training.max_iters == training.iter == 11


def test_a_resumed_training_has_the_time_that_was_left(monkeypatch):
    first = Simulation(monkeypatch, lambda i: 1.6, validation=8.0)
    hook = TimeLimitHook(seconds=248)
    before = first.run(hook, until=60)
    checkpoint = dict(meta={})
    hook.before_save_checkpoint(first, checkpoint)
    assert checkpoint['meta']['time_limit'] == dict(seconds=before, max_iters=first.max_iters)
    assert first.max_iters < 150

    second, hook = Simulation(monkeypatch, lambda i: 1.6, validation=8.0), TimeLimitHook(seconds=248)
    hook.after_load_checkpoint(second, checkpoint)  # of a training that is not resumed
    assert second.max_iters == 200
    second._resume = True
    hook.after_load_checkpoint(second, checkpoint)
    assert second.max_iters == first.max_iters
    assert second.param_schedulers[1].state_dict()['T_max'] == first.max_iters - 20
    second.iter = 60
    after = second.run(hook)
    assert before + after == pytest.approx(248, rel=0.04)


@pytest.mark.parametrize('seconds', [0, -1, float('nan')])
def test_a_time_that_cannot_be_is_refused(seconds):
    with pytest.raises(ConfigError, match='must be more than 0'):
        TimeLimitHook(seconds)


def test_a_real_training_is_cut_and_its_resumed_end_is_its_end(shapes, tmp_path):
    config, work_dir = write_config(tmp_path, shapes), tmp_path / 'work'
    options = dict(
        train_cfg__max_iters=40,
        custom_hooks=[dict(type='TimeLimitHook', seconds=0.01)],
        default_hooks__logger__interval=1,
        param_scheduler=[dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False)],
    )
    runner = train(config, **options)
    assert runner.iter == runner.max_iters == 11
    assert (work_dir / 'iter_11.pth').is_file()
    assert runner.param_schedulers[0].T_max == 11
    info = run_info(work_dir)
    assert (info['iteration'], info['max_iters'], info['seconds_left']) == (11, 11, 0)
    resumed = train(config, **options, resume=True)
    assert resumed.iter == resumed.max_iters == 11
    text = next(path for path in sorted(work_dir.glob('*/*.log')) if 'goes on after' in path.read_text()).read_text()
    assert "is not the checkpoint's" not in text  # the schedule was cut, not changed
