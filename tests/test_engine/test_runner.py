"""The learning rate schedule of the small configs, and which checkpoint is the best."""

import math
from urllib.error import URLError

import mmdet.models  # noqa: F401  (registers the backbones)
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mask2former.engine import SegCheckpointHook, SegOptimWrapper, SegRunner
from mask2former.errors import CheckpointError
from tests.test_models.peers import ROOT


@pytest.mark.parametrize('max_iters', [300, 101, 100, 20, 1])
def test_warm_up_and_cosine_end_with_the_training(max_iters, monkeypatch):
    """Linear from a hundredth in 100 iterations, then half a cosine that would be zero in the one after the last."""
    cfg = Config.fromfile(ROOT / 'configs/_base_/schedules/adamw_warmup-cosine.py')
    monkeypatch.setattr(SegRunner, 'max_iters', max_iters)
    monkeypatch.setattr(SegRunner, 'train_dataloader', range(7))
    runner = object.__new__(SegRunner)
    runner._train_loop = None
    runner.optim_wrapper = SegOptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0))
    with DefaultScope.overwrite_default_scope('mask2former'):
        schedulers = runner.build_param_scheduler(cfg.param_scheduler)
    rates = []
    for _ in range(max_iters):
        rates.append(runner.optim_wrapper.optimizer.param_groups[0]['lr'])
        for scheduler in schedulers:
            scheduler.step()
    expected = [
        0.01 + 0.99 * i / 99 if i < 100 else (1 + math.cos(math.pi * (i - 100) / (max_iters - 100))) / 2
        for i in range(max_iters)
    ]
    assert rates == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    'key', ['PQ_th', 'SQ', 'segm_mAP_50', 'boundary_mAP', 'cityscapes/AP', 'mIoU', 'fwIoU', 'aAcc']
)
def test_the_best_checkpoint_has_the_highest_metric(key):
    assert SegCheckpointHook(save_best=key).rules == ['greater']


def test_of_equally_good_checkpoints_the_last_is_the_best():
    hook = SegCheckpointHook(save_best=['segm_mAP', 'loss'])
    for key, worse, better in (('segm_mAP', 0.0, 0.1), ('loss', 0.1, 0.0)):
        is_better = hook.is_better_than[key]
        assert is_better(worse, worse) and is_better(better, worse) and not is_better(worse, better)


def test_weights_that_cannot_be_fetched_are_one_sentence(monkeypatch):
    def fail(_):
        raise URLError('no such host')

    monkeypatch.setattr(Runner, '_init_model_weights', fail)
    runner = SegRunner.__new__(SegRunner)
    runner._resume, init = False, dict(type='Pretrained', checkpoint='torchvision://resnet50')
    runner.cfg = Config(dict(model=dict(backbone=dict(init_cfg=init))))
    with pytest.raises(CheckpointError, match="from 'torchvision://resnet50' .*no such host.*: check the network"):
        runner._init_model_weights()
