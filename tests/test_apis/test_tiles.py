"""Tiles of a config: testing and the inferencer give the same, and one tile is no tile."""

import pytest
import torch
from mmengine.config import Config

from mask2former.apis import SegInferencer
from mask2former.apis.config_check import find_faults
from mask2former.apis.tiles import tile_settings, use_tiles
from mask2former.apis.tta import use_tta
from mask2former.errors import ConfigError
from tests.tiny import ROOT

from .test_inferencer import assert_equal, results_of_testing

COCO = ROOT / 'configs/coco/panoptic/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'


@pytest.mark.parametrize('tta', [False, True])
def test_one_tile_is_no_tile(run, tta):
    plain = SegInferencer(run.config, run.checkpoint, device='cpu', tta=tta)
    tiled = SegInferencer(run.config, run.checkpoint, device='cpu', tta=tta, tile=96, overlap=10)
    for ours, theirs in zip(tiled(run.images), plain(run.images), strict=True):
        assert_equal(ours, theirs)
        assert ours.img_path == theirs.img_path and ours.ori_shape == theirs.ori_shape


def test_testing_and_the_inferencer_give_the_same(run):
    config = Config.fromfile(run.config)
    config.load_from = str(run.checkpoint)
    config.tile_model = dict(tile=48, overlap=16)
    inferencer = SegInferencer(config, run.checkpoint, device='cpu')
    assert use_tiles(config)
    tested = results_of_testing(config)
    for sample in inferencer(run.images):
        assert_equal(sample, tested[sample.img_path])
        height, width = sample.ori_shape
        assert max(height, width) > 48 and sample.pred_panoptic_seg.id_map.shape == (1, height, width)
        assert inferencer.to_json(sample)['image']['width'] == width


def test_the_tiles_have_the_test_pipeline():
    cfg = Config.fromfile(COCO)
    before = [dict(transform) for transform in cfg.test_dataloader.dataset.pipeline]
    assert [transform['type'] for transform in before] == [
        'LoadImage',
        'Resize',
        'LoadPanopticGroundTruth',
        'PackSegInputs',
    ]
    assert not use_tiles(cfg) and cfg.model.type == 'Mask2Former'
    assert use_tiles(cfg, 1024)
    assert (cfg.model.type, cfg.model.tile, cfg.model.overlap) == ('SegTileModel', 1024, 256)
    assert cfg.model.pipeline == [before[1], before[3]] and cfg.model.module.type == 'Mask2Former'
    assert cfg.test_dataloader.dataset.pipeline == [before[0], before[2], before[3]]
    assert find_faults(cfg) == []


def test_with_views_each_tile_has_them():
    cfg = Config.fromfile(COCO)
    use_tta(cfg)
    use_tiles(cfg, 512, 100)
    assert [part.type for part in (cfg.model, cfg.model.module, cfg.model.module.module)] == [
        'SegTileModel',
        'SegTTAModel',
        'Mask2Former',
    ]
    assert [transform.type for transform in cfg.model.pipeline] == ['TestTimeAug']
    assert find_faults(cfg) == []


def test_the_command_line_goes_before_the_config():
    cfg = Config(dict(tile_model=dict(type='SegTileModel', tile=800, overlap=300, min_iou=0.4)))
    assert tile_settings(cfg) == dict(type='SegTileModel', tile=800, overlap=300, min_iou=0.4)
    assert tile_settings(cfg, 512)['overlap'] == 128
    assert tile_settings(cfg, overlap=64) == dict(type='SegTileModel', tile=800, overlap=64, min_iou=0.4)
    assert tile_settings(Config(), 2) == dict(type='SegTileModel', tile=2, overlap=1)
    assert tile_settings(Config()) is None
    with pytest.raises(ConfigError, match='An overlap of 64 pixels needs tiles to overlap'):
        tile_settings(Config(), overlap=64)


def test_faults_are_named(run):
    cfg = Config.fromfile(COCO)
    cfg.tile_model = dict(tiles=512)
    [fault] = find_faults(cfg)
    assert fault.startswith("tile_model.tiles: SegTileModel has no argument 'tiles'; did you mean 'tile'")
    with pytest.raises(ConfigError, match='overlap must be less than tile, but is 64 and tile is 32'):
        SegInferencer(run.config, run.checkpoint, device='cpu', tile=32, overlap=64)
    video = Config.fromfile(ROOT / 'configs/youtube_vis/video-mask2former_r50_8xb2-6k_youtube-vis-2019.py')
    with pytest.raises(ConfigError, match='Tiles: this is for images'):
        use_tiles(video, 512)
    config = Config.fromfile(run.config)
    use_tiles(config, 32)
    resize = dict(type='Resize', scale=(50, 50), keep_ratio=True)
    config.test_dataloader.dataset.pipeline.insert(1, resize)
    config.load_from = str(run.checkpoint)
    with pytest.raises(ConfigError, match=r'cuts the image as it is, but the test pipeline has made \d+ x 50'):
        results_of_testing(config)
    assert torch.is_grad_enabled()
