"""Test-time augmentation of a config: the views that it says, or that are made of its test pipeline."""

import pytest
from mmengine.config import Config

from mask2former.apis.build import build_test_pipeline
from mask2former.apis.tta import make_tta_pipeline, use_tta
from mask2former.errors import ConfigError
from tests.tiny import ROOT

FLIP = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)]


def test_views_follow_from_the_test_pipeline():
    load, truth, pack = (dict(type=name) for name in ('LoadImage', 'LoadPanopticGroundTruth', 'PackSegInputs'))
    resize = dict(type='Resize', scale=(1333, 800), keep_ratio=True)
    assert make_tta_pipeline([load, resize, truth, pack], (1.0,)) == [
        load,
        truth,
        dict(type='TestTimeAug', transforms=[[resize], FLIP, [pack]]),
    ]
    assert make_tta_pipeline([load, resize, truth, pack], (1.0, 0.5)) == [
        load,
        truth,
        dict(type='TestTimeAug', transforms=[[resize, dict(resize, scale=(666, 400))], FLIP, [pack]]),
    ]
    half = dict(type='Resize', scale_factor=0.5)
    assert make_tta_pipeline([load, half, pack], (1.0, 1.5))[1]['transforms'][0] == [
        half,
        dict(half, scale_factor=0.75),
    ]
    assert make_tta_pipeline([load, truth, pack], (1.0,)) == [
        load,
        truth,
        dict(type='TestTimeAug', transforms=[FLIP, [pack]]),
    ]
    sizes = [dict(type='Resize', scale_factor=scale, keep_ratio=True) for scale in (1.0, 2.0)]
    assert make_tta_pipeline([load, pack], (1.0, 2.0))[1]['transforms'] == [sizes, FLIP, [pack]]
    with pytest.raises(ValueError, match='no transform that packs'):
        make_tta_pipeline([load], (1.0,))


@pytest.mark.parametrize(
    'options, count', [({}, 2), ({'model.postprocessors.panoptic': None, 'model.postprocessors.instance': None}, 12)]
)
def test_semantic_models_get_the_reference_s_scales(options, count):
    cfg = Config.fromfile(ROOT / 'configs/coco/panoptic/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py')
    cfg.merge_from_dict(options)
    use_tta(cfg)
    assert cfg.model.type == 'SegTTAModel' and cfg.model.module.type == 'Mask2Former'
    sizes, flips, _ = cfg.test_dataloader.dataset.pipeline[-1].transforms
    assert len(sizes) * len(flips) == count
    factors = (1.0, 0.5, 0.75, 1.25, 1.5, 1.75)[: len(sizes)]
    assert [tuple(size.scale) for size in sizes] == [(round(1333 * x), round(800 * x)) for x in factors]
    assert [flip.prob for flip in flips] == [0, 1]


def test_a_config_of_videos_is_not_for_images():
    cfg = Config.fromfile(ROOT / 'configs/youtube_vis/video-mask2former_r50_8xb2-6k_youtube-vis-2019.py')
    with pytest.raises(ConfigError, match='config is one of videos: leave it out'):
        use_tta(cfg)
    with pytest.raises(ConfigError, match='use demo/video_demo.py'):
        build_test_pipeline(cfg)


@pytest.mark.parametrize('name, count', [('panoptic_flip', 2), ('semantic_multi_scale', 12)])
def test_the_configs_of_views(name, count):
    cfg = Config.fromfile(ROOT / f'configs/_base_/tta/{name}.py')
    sizes, flips, _ = cfg.tta_pipeline[-1].transforms
    assert cfg.tta_model.type == 'SegTTAModel' and len(sizes) * len(flips) == count
    assert flips == FLIP
