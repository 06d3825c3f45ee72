"""The converters, the test tool and the inferencer with checkpoints of other formats, from the command line's side."""

import hashlib
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mask2former.apis import SegInferencer, init_model
from mask2former.checkpoints.convert import read_checkpoint
from mask2former.checkpoints.schemes import read_any

from .small import BACKBONES, CLASSES, build_small, small_config

ROOT = Path(__file__).parents[2]
CONFIG = """
default_scope = 'mask2former'
custom_imports = dict(imports=['mask2former'])
model = {model}
test_dataloader = dict(dataset=dict(type='CocoPanopticFormat', data_root='nowhere/', ann_file='a.json', pipeline=[
    dict(type='LoadImage'), dict(type='Resize', scale=(96, 96), keep_ratio=True), dict(type='PackSegInputs')]))
"""


def run(monkeypatch, tool, *args):
    """Run a tool in this process; returns what it ended with."""
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
    try:
        runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
    except SystemExit as error:
        return error.code
    return None


def convert(monkeypatch, *args):
    return run(monkeypatch, 'model_converters/convert.py', *args)


@pytest.fixture
def model(tmp_path):
    """Our model, its checkpoint and its config."""
    model = build_small('swin')
    torch.save(dict(state_dict=model.state_dict(), optimizer={}), tmp_path / 'ours.pth')
    (tmp_path / 'config.py').write_text(CONFIG.format(model=small_config('swin')))
    return model


def test_around_all_formats(model, tmp_path, monkeypatch, capsys):
    """The formats are recognised, and after all of them every bit is the same."""
    steps = [
        ('ours.pth', 'd2.pkl', 'detectron2'),
        ('d2.pkl', 'hf', 'transformers'),
        ('hf', 'mmdet.pth', 'mmdet'),
        ('mmdet.pth', 'd2.pth', 'detectron2'),
        ('d2.pth', 'ours.safetensors', 'mask2former'),
        ('ours.safetensors', 'again.pth', 'mask2former'),
    ]
    for source, target, format in steps:
        assert convert(monkeypatch, tmp_path / source, tmp_path / target, '--to', format) is None
        assert f'Written to {tmp_path / target}' in capsys.readouterr().out
    again = torch.load(tmp_path / 'again.pth', weights_only=True)
    assert set(again) == {'meta', 'state_dict'}
    assert all(torch.equal(value, again['state_dict'][name]) for name, value in model.state_dict().items())


def test_licence_survives_every_format_and_publishing(model, tmp_path, monkeypatch, capsys):
    """A file with the name of a published one has its licence, which then stays in the file itself."""
    name = 'model_final_94dc52.pkl'
    assert convert(monkeypatch, tmp_path / 'ours.pth', tmp_path / name, '--to', 'detectron2') is None
    assert 'Licence of the weights: unknown, that of the source.' in capsys.readouterr().out
    steps = [
        (name, 'a.pkl', 'detectron2'),
        ('a.pkl', 'b.pth', 'detectron2'),
        ('b.pth', 'hf', 'transformers'),
        ('hf', 'c.pth', 'mmdet'),
        ('c.pth', 'd.safetensors', 'mask2former'),
        ('d.safetensors', 'e.pth', 'mask2former'),
    ]
    for source, target, format in steps:
        assert convert(monkeypatch, tmp_path / source, tmp_path / target, '--to', format) is None
        assert 'Licence of the weights: CC BY-NC 4.0.' in capsys.readouterr().out
        assert read_checkpoint(tmp_path / target).meta['license'] == 'CC BY-NC 4.0'
    for ending in ('pth', 'safetensors'):
        target = tmp_path / f'published/m.{ending}'
        assert run(monkeypatch, 'model_converters/publish_model.py', tmp_path / 'e.pth', target) is None
        assert 'Licence of the weights: CC BY-NC 4.0.' in capsys.readouterr().out
        [path] = target.parent.glob(f'*.{ending}')
        assert read_any(path)['meta']['license'] == 'CC BY-NC 4.0'


def test_config_gives_the_classes_and_is_checked(model, tmp_path, monkeypatch):
    config = tmp_path / 'config.py'
    source = tmp_path / 'ours.pth'
    assert convert(monkeypatch, source, tmp_path / 'hf', '--to', 'transformers', '--config', config) is None
    assert read_checkpoint(tmp_path / 'hf').meta['dataset_meta']['classes'] == CLASSES
    other = dict(small_config('swin'))
    other['head'] = dict(other['head'], num_queries=9)
    config.write_text(CONFIG.format(model=other))
    message = convert(monkeypatch, source, tmp_path / 'a.pkl', '--to', 'detectron2', '--config', config)
    assert "ours.pth' does not fit the model: it has 7 queries, the model 9 (head.num_queries)" in message
    assert not (tmp_path / 'a.pkl').exists()


def test_what_the_converter_refuses(model, tmp_path, monkeypatch):
    source = tmp_path / 'ours.pth'
    (tmp_path / 'folder.pth').mkdir()
    for target, format, sentence in (
        ('a.txt', 'mmdet', 'is no name for a checkpoint of mmdet: end it in .pth.'),
        ('a.bin', 'detectron2', 'is no name for a checkpoint of detectron2: end it in .pkl or .pth.'),
        ('a.ckpt', 'eomt', 'is no name for a checkpoint of eomt: end it in .bin or .pth.'),
        ('a.safetensors', 'eomt', 'is no name for a checkpoint of eomt: end it in .bin or .pth.'),
        ('a.bin', 'transformers', 'is the name of a file, but transformers takes a folder: leave out .bin.'),
        ('folder.pth', 'mmdet', 'is a folder, but mmdet takes a file'),
        ('ours.pth', 'mmdet', 'is the source itself'),
        ('config.py', 'transformers', 'is a file, but transformers takes a folder'),
    ):
        message = convert(monkeypatch, source, tmp_path / target, '--to', format)
        assert re.match('Error: .*' + sentence, message), message
    assert 'There is no checkpoint' in convert(monkeypatch, tmp_path / 'no.pth', tmp_path / 'a.pth', '--to', 'mmdet')
    state = dict(model.state_dict(), **{'head.extra': torch.zeros(1)})
    torch.save(dict(state_dict=state), source)
    assert "holds 'head.extra'" in convert(monkeypatch, source, tmp_path / 'a.pth', '--to', 'mmdet')
    assert convert(monkeypatch, source, tmp_path / 'a.pth', '--to', 'mmdet', '--ignore-unknown') is None
    assert read_checkpoint(tmp_path / 'a.pth').state.keys() == model.state_dict().keys()


@pytest.mark.parametrize('ending', ['pth', 'safetensors'])
@pytest.mark.parametrize('half', [False, True])
def test_publish(model, tmp_path, monkeypatch, ending, half):
    data = dict(classes=CLASSES, isthing=(True,) * 5, palette=[(1, 2, 3)] * 5, category_ids=(1, 2, 3, 4, 5))
    torch.save(
        dict(
            state_dict=model.state_dict(),
            optimizer=dict(a=torch.zeros(9)),
            message_hub={},
            meta=dict(dataset_meta=data, iter=7, cfg='secret'),
        ),
        tmp_path / 'ours.pth',
    )
    assert (
        run(
            monkeypatch,
            'model_converters/publish_model.py',
            tmp_path / 'ours.pth',
            tmp_path / f'out/m.{ending}',
            *['--half'] * half,
        )
        is None
    )
    [path] = (tmp_path / 'out').iterdir()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert path.name == f'm-{digest}.{ending}'
    published = read_any(path)
    assert published['meta'] == dict(dataset_meta=data)
    for name, value in model.state_dict().items():
        expected = value.half() if half and value.is_floating_point() else value
        assert published['state_dict'][name].dtype == expected.dtype, name
        assert torch.equal(published['state_dict'][name], expected), name
    loaded = init_model(Config.fromfile(tmp_path / 'config.py'), path, 'cpu')
    assert next(loaded.parameters()).dtype == torch.float32 and loaded.dataset_meta == data


def test_numbers_too_large_for_half_precision(model, tmp_path, monkeypatch):
    model.state_dict()['head.norm.weight'][0] = 1e6
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'ours.pth')
    message = run(monkeypatch, 'model_converters/publish_model.py', tmp_path / 'ours.pth', tmp_path / 'a.pth', '--half')
    assert "'head.norm.weight' has numbers that half precision cannot hold" in message
    assert not [path for path in tmp_path.iterdir() if path.name.startswith('a')]


@pytest.mark.parametrize('backbone', BACKBONES)
def test_final_results_are_the_same(backbone, tmp_path):
    """The inferencer gives the same segments and instances, whatever format the weights come in."""
    torch.save(dict(state_dict=build_small(backbone).state_dict()), tmp_path / 'ours.pth')
    (tmp_path / 'config.py').write_text(CONFIG.format(model=small_config(backbone)))
    checkpoint = read_checkpoint(tmp_path / 'ours.pth')
    image = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    [expected] = SegInferencer(tmp_path / 'config.py', tmp_path / 'ours.pth', device='cpu')(image)
    assert len(expected.pred_instances) > 0
    from mask2former.checkpoints.write import write_checkpoint

    for name, target in (('d2.pkl', 'detectron2'), ('mmdet.pth', 'mmdet'), ('hf', 'transformers')):
        write_checkpoint(checkpoint, tmp_path / name, target)
        [sample] = SegInferencer(tmp_path / 'config.py', tmp_path / name, device='cpu')(image)
        assert torch.equal(sample.pred_panoptic_seg.id_map, expected.pred_panoptic_seg.id_map)
        assert sample.pred_panoptic_seg.segments_info == expected.pred_panoptic_seg.segments_info
        for key in ('labels', 'scores', 'bboxes'):
            assert torch.equal(sample.pred_instances[key], expected.pred_instances[key])


def test_tools_name_a_missing_model(monkeypatch, tmp_path):
    config = ROOT / 'configs/coco/panoptic/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py'
    assert "There is no checkpoint 'gone.pkl'" in run(monkeypatch, 'test.py', config, 'gone.pkl')
    assert "There is no config 'gone'" in run(monkeypatch, 'test.py', 'gone', tmp_path)
