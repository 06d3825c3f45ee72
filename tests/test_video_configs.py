"""Configs of videos train an iteration, validate and test, on drawn videos and at a reduced size."""

import json
import math

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mask2former.apis.config_check import find_faults
from mask2former.data_tools.shapes import generate_moving_shapes
from mask2former.engine import SegRunner
from mask2former.engine.run_summary import images_per_batch
from tests.tiny import ROOT

LEAVES = sorted(path for path in (ROOT / 'configs').rglob('video-*.py') if '_base_' not in path.parts)


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('videos') / 'data'
    generate_moving_shapes(folder, num_train=4, num_val=2, size=(32, 48), frames=(4, 5), seed=0)
    return folder


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_one_iteration_and_validation(path, videos, tmp_path):
    cfg = Config.fromfile(path)
    cfg.work_dir = str(tmp_path / 'work')
    cfg.visualizer.name = str(tmp_path)
    cfg.randomness = dict(seed=0)
    cfg.model.backbone.init_cfg = None
    cfg.model.pixel_decoder.num_layers = cfg.model.head.num_layers = 1
    cfg.model.criterion.num_points = 64
    cfg.train_cfg.update(max_iters=1, val_interval=1)
    cfg.default_hooks.logger.interval = 1
    for dataloader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        dataloader.update(num_workers=0, persistent_workers=False)
        dataloader.dataset.data_root = str(videos)
    cfg.default_hooks.visualization.update(draw=True, out_dir=str(tmp_path / 'strips'))
    assert find_faults(cfg) == []
    with DefaultScope.overwrite_default_scope('mask2former'):
        runner = SegRunner.from_cfg(cfg)
        runner.train()
        metrics = runner.test()
    losses = [json.loads(line) for line in open(f'{runner.log_dir}/vis_data/scalars.json')][0]
    assert {'loss_class', 'loss_mask', 'loss_dice', 'loss_aux'} <= losses.keys() and math.isfinite(losses['loss'])
    assert {'track_mAP', 'track_mAP_50', 'track_AR_10'} <= metrics.keys()
    assert sorted(path.name for path in (tmp_path / 'strips').iterdir()) == ['0000.jpg', '0001.jpg']


def test_the_batch_of_clips_is_told(videos, tmp_path):
    """A batch sampler of the config's own leaves the dataloader without a batch size."""
    cfg = Config.fromfile(ROOT / 'configs/shapes/video-mask2former_efficientnet-lite0_moving-shapes.py')
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.data_root = str(videos)
    with DefaultScope.overwrite_default_scope('mask2former'):
        loader = Runner.build_dataloader(cfg.train_dataloader)
    assert loader.batch_size is None and images_per_batch(loader) == 2
