"""A checkpoint to go on from with one field of its state changed: it is named, and nothing of it is taken."""

import copy
import math
from typing import Any

import pytest
import torch
from mmengine.runner import Runner

from tests.tiny import train

from .kit import ABSENT, FINE, change, last_line

NO_TABLE: tuple[Any, ...] = (None, 7, 'x', [])
CASES: dict[str, tuple[Any, ...]] = {
    'state_dict': (7, 'x', []),
    'meta': (*NO_TABLE, {}),
    'meta.iter': (None, 'x', -1, 1.5, 10**400, ABSENT),
    'meta.epoch': (None, 'x', -1, ABSENT),
    'meta.seed': ('x', -1, 2**32),
    'meta.sampler_seed': ('x', -1),
    'meta.dataset_meta': ('x', -1),
    'meta.early_stopping': (7, {'PQ': 7}, {'PQ': {'best_score': 'x', 'wait_count': 0}}, {'PQ': {'best_score': 1.0}}),
    'meta.time_limit': (7, {}, {'seconds': 'x', 'max_iters': 9}, {'seconds': 1.0, 'max_iters': 1.5}),
    'message_hub': (*NO_TABLE, {}),
    'message_hub.log_scalars': (7, ABSENT),
    'message_hub.runtime_info': (7, ABSENT),
    'message_hub.resumed_keys': (7, ABSENT),
    'optimizer': (*NO_TABLE, {}),
    'optimizer.state': (7, ABSENT),
    'optimizer.param_groups': (None, 7, {}, [], [7], [{}], ABSENT),
    'optimizer.base_param_settings': (7, [], {'lr': 'x'}, {'lr': math.nan}),
    'optimizer.accumulated': (7, [None], [torch.zeros(1)] * 500),
    'optimizer.loss_scaler': (7, {'scale': 'x'}),
    'optimizer.state.0': (None, 7, []),
    'optimizer.state.0.exp_avg': (7, torch.zeros(1), torch.zeros(100_000)),
    'optimizer.state.0.exp_avg_sq': (7, torch.zeros(1), torch.zeros(100_000)),
    'optimizer.state.100000': ({},),
    'ema_state_dict': (
        7,
        {'module.backbone.stem.conv.weight': 7},
        {'module.backbone.stem.conv.weight': torch.zeros(1)},
    ),
    'param_schedulers': (7, 'x', [7]),
    'param_schedulers.0.last_step': (None, 'x', 1.5, 10**400),
    'param_schedulers.0._last_value': (None, 7, ['x'], [math.inf]),
}


@pytest.fixture(scope='module')
def runner(tiny_run, tmp_path_factory) -> Runner:
    """After a training of one iteration, which left a checkpoint."""
    return train(tiny_run.config, work_dir=str(tmp_path_factory.mktemp('work')), train_cfg__max_iters=1)


@pytest.fixture(scope='module')
def saved(runner) -> dict:
    return torch.load(runner.work_dir + '/iter_1.pth', weights_only=False)  # the test's own


@pytest.mark.parametrize(
    ('field', 'value'), [(field, value) for field, values in CASES.items() for value in values], ids=str
)
def test_a_field(runner, saved, tmp_path, field, value):
    content = copy.deepcopy(saved)
    change(content, field, value)
    torch.save(content, tmp_path / 'one.pth')
    line = last_line(lambda: runner.resume(str(tmp_path / 'one.pth')))
    assert line.startswith('Error: ')
    assert f"its '{field}" in line or 'state of the optimizer does not fit' in line, line


def test_as_it_was(runner, saved, tmp_path):
    torch.save(saved, tmp_path / 'one.pth')
    assert last_line(lambda: runner.resume(str(tmp_path / 'one.pth'))) == FINE
