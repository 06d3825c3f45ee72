"""Weights of models of videos: mmdet's own model gives its logits here, and every format is written and read."""

from pathlib import Path

import mmdet
import pytest
import torch
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import DefaultScope

from benchmarks.synthetic import randomise
from mask2former.apis import init_model
from mask2former.checkpoints.convert import read_checkpoint
from mask2former.checkpoints.write import write_checkpoint
from mask2former.registry import MODELS

from .small import BACKBONES, build_small_mmdet, shrink, small_config
from .test_tools import CONFIG, convert

MMDET_CONFIG = Path(mmdet.__file__).parent / '.mim/configs/mask2former_vis/mask2former_r50_8xb2-8e_youtubevis2021.py'
VIDEO = dict(
    type='VideoMask2Former',
    data_preprocessor=dict(type='ClipDataPreprocessor'),
    postprocessors=dict(tracks=dict(type='TrackTopK')),
)


def video_config(backbone):
    """The small model, of clips."""
    config = small_config(backbone) | VIDEO
    config['head'] |= dict(type='ClipHead')
    config['criterion'] |= dict(type='ClipCriterion', matcher=dict(type='ClipMatcher'))
    return config


def build_video(backbone):
    torch.manual_seed(0)
    model = MODELS.build(video_config(backbone))
    randomise(model, 0)
    return model.eval()


def build_mmdet_video(backbone):
    """mmdet's own model of videos of the same size, with its own random weights."""
    image = build_small_mmdet(backbone)
    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(MMDET_CONFIG).model
    cfg.backbone.init_cfg = None
    cfg.track_head.update(num_classes=5)
    shrink(cfg.track_head)
    torch.manual_seed(1)
    with DefaultScope.overwrite_default_scope('mmdet'):
        peer = MODELS.build(dict(cfg, type='mmdet.Mask2FormerVideo'))
    peer.backbone = image.backbone
    randomise(peer, 1)
    return peer.eval()


def track_names(state):
    return sum(name.startswith('track_head.') for name in state)


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('backbone', BACKBONES)
def test_mmdet_file(backbone, tmp_path):
    peer = build_mmdet_video(backbone)
    torch.save(dict(state_dict=peer.state_dict()), tmp_path / 'theirs.pth')
    checkpoint = read_checkpoint(tmp_path / 'theirs.pth')
    model = build_video(backbone)
    model.load_state_dict(checkpoint.state, strict=True)

    T = 3
    inputs = torch.randn(2, T, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    peer.track_head.training, peer.track_head.num_frames = True, T  # else it takes the batch for one video
    with torch.no_grad():
        ours = model.extract(inputs)
        classes, masks = peer.track_head(peer.backbone(inputs.flatten(0, 1)), None)
    assert len(classes) == len(ours.class_logits) == 3
    for d in range(3):
        assert masks[d].shape == (2, 7, T, 16, 24) and masks[d].std() > 0.01
        torch.testing.assert_close(ours.class_logits[d], classes[d], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours.mask_logits(d), masks[d], rtol=1e-4, atol=1e-5)

    # Back to mmdet, also by way of a file of ours: the same names and bits.
    write_checkpoint(checkpoint, tmp_path / 'ours.safetensors', 'mask2former')
    write_checkpoint(read_checkpoint(tmp_path / 'ours.safetensors'), tmp_path / 'again.pth', 'mmdet')
    again = torch.load(tmp_path / 'again.pth', weights_only=True)['state_dict']
    assert set(again) == set(peer.state_dict()) and track_names(again) > 50
    assert all(torch.equal(value, again[name]) for name, value in peer.state_dict().items())


@pytest.mark.parametrize('backbone', BACKBONES)
def test_around_all_formats(backbone, tmp_path, monkeypatch, capsys):
    """The reference's and transformers' files do not say that they are of videos: the config does."""
    torch.save(dict(state_dict=build_video(backbone).state_dict()), tmp_path / 'ours.pth')
    (tmp_path / 'video.py').write_text(CONFIG.format(model=video_config(backbone)))
    (tmp_path / 'image.py').write_text(CONFIG.format(model=small_config(backbone)))
    steps = [
        ('ours.pth', 'reference.pkl', 'detectron2', 'video'),
        ('reference.pkl', 'mmdet.pth', 'mmdet', 'video'),
        ('mmdet.pth', 'transformers', 'transformers', None),
        ('transformers', 'image.pth', 'mmdet', None),
        ('mmdet.pth', 'image_too.pth', 'mmdet', 'image'),
        ('image.pth', 'again.pth', 'mask2former', 'video'),
    ]
    for source, target, format, config in steps:
        options = () if config is None else ('--config', tmp_path / f'{config}.py')
        assert convert(monkeypatch, tmp_path / source, tmp_path / target, '--to', format, *options) is None
        said = 'transformers has no Mask2Former of videos' in capsys.readouterr().out
        assert said == (format == 'transformers')
    model = build_video(backbone)
    again = torch.load(tmp_path / 'again.pth', weights_only=True)['state_dict']
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())
    names = [torch.load(tmp_path / f'{stem}.pth')['state_dict'] for stem in ('mmdet', 'image', 'image_too')]
    assert track_names(names[0]) > 50 and not track_names(names[1]) and set(names[1]) == set(names[2])


@pytest.mark.parametrize('backbone', BACKBONES)
def test_the_reference_s_file_is_loaded_by_the_config(backbone, tmp_path):
    model = build_video(backbone)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'ours.pth')
    write_checkpoint(read_checkpoint(tmp_path / 'ours.pth'), tmp_path / 'model_final.pkl', 'detectron2')
    (tmp_path / 'video.py').write_text(CONFIG.format(model=video_config(backbone)))
    loaded = init_model(tmp_path / 'video.py', tmp_path / 'model_final.pkl', 'cpu')
    clip = torch.randn(1, 2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs = model.extract(clip), loaded.extract(clip)
    assert type(loaded).__name__ == 'VideoMask2Former'
    assert torch.equal(ours.class_logits, theirs.class_logits) and torch.equal(ours.mask_logits(), theirs.mask_logits())
