"""Layer-wise decay of the learning rate, parameter by parameter."""

import re

import pytest
import torch
from torch import nn

from mask2former.engine import SegOptimWrapperConstructor
from mask2former.models.backbones import TimmBackbone
from mask2former.registry import MODELS
from tests.test_models.test_backbones.libraries import TIMM, hf_config, import_timm

LR, DECAY = 1e-3, 0.05
SWIN = dict(type='mmdet.SwinTransformer', embed_dims=8, depths=(1, 1, 2, 1), num_heads=(1, 2, 2, 4), window_size=4)
RESNET = dict(type='mmdet.ResNet', depth=18, stem_channels=8, base_channels=8)


class Model(nn.Module):
    def __init__(self, backbone) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(2, 2)


def learning_rates(backbone, **settings) -> dict[str, float]:
    cfg = dict(optimizer=dict(type='AdamW', lr=LR, weight_decay=DECAY))
    optimizer = SegOptimWrapperConstructor(cfg, dict(backbone_lr_mult=0.5, **settings))(Model(backbone)).optimizer
    names = {parameter: name for name, parameter in Model(backbone).named_parameters()}
    names = {parameter: name for parameter, name in names.items() if name.startswith('backbone')}
    rates = {names.get(p, 'head'): group['lr'] for group in optimizer.param_groups for p in group['params']}
    assert rates.pop('head') == LR
    return {name.removeprefix('backbone.'): rate / LR for name, rate in rates.items()}


# Where the blocks are: pattern of a name, and the number of its block by the groups; and what comes before them.
FIRST = (0, 1, 2, 4)  # blocks before each stage of depths 1, 1, 2, 1
DOUBLE = (0, 2, 4, 6)
CASES = {
    'vit': (hf_config('vit'), 3, [(r'layers\.(\d)\.', lambda i: i), ('embeddings', -1)]),
    'dinov2': (hf_config('dinov2'), 3, [(r'layer\.(\d)\.', lambda i: i), ('embeddings', -1)]),
    'dinov3_vit': (hf_config('dinov3_vit'), 3, [(r'layer\.(\d)\.', lambda i: i), ('embeddings', -1)]),
    'convnext': (
        hf_config('convnext'),
        5,
        [
            (r'stages\.(\d)\.layers\.(\d)\.', lambda s, i: FIRST[s] + i),
            (r'stages\.(\d)\.downsampling', lambda s: FIRST[s]),
            ('embeddings', -1),
        ],
    ),
    'swin': (
        SWIN,
        5,
        [
            (r'stages\.(\d)\.blocks\.(\d)\.', lambda s, i: FIRST[s] + i),
            (r'stages\.(\d)\.downsample', lambda s: FIRST[s + 1]),
            ('patch_embed', -1),
        ],
    ),
    'resnet': (RESNET, 8, [(r'layer(\d)\.(\d)\.', lambda s, i: DOUBLE[s - 1] + i), (r'(conv1|bn1)', -1)]),
}


@pytest.mark.parametrize('kind', CASES)
def test_each_parameter_has_the_rate_of_its_block(kind):
    cfg, blocks, patterns = CASES[kind]
    torch.manual_seed(0)
    rates = learning_rates(MODELS.build(cfg), layer_decay=0.8)
    assert len({round(rate, 9) for rate in rates.values()}) >= blocks + 1
    for name, rate in rates.items():
        block = blocks  # what follows the last
        for pattern, number in patterns:
            match = re.search(pattern, name) if number != -1 else re.match(rf'(model\.)?{pattern}', name)
            if match:
                block = -1 if number == -1 else number(*(int(x) for x in match.groups()))
                break
        assert rate == pytest.approx(0.5 * 0.8 ** (blocks - block)), name


def test_without_decay_the_backbone_has_one_rate():
    assert set(learning_rates(MODELS.build(RESNET)).values()) == {0.5}


@pytest.mark.parametrize('name', ['vit_tiny_patch16_224', 'resnet26d', 'efficientnet_b0'])
def test_rates_are_those_of_timm(name):
    timm = import_timm()
    from timm.optim import param_groups_layer_decay

    backbone = TimmBackbone(name, pretrained=False, options=TIMM[name])
    ours = learning_rates(backbone, layer_decay=0.8)
    whole = timm.create_model(name, **TIMM[name])
    names = {parameter: key for key, parameter in whole.named_parameters()}
    theirs = {
        names[p]: group['lr_scale']
        for group in param_groups_layer_decay(whole, layer_decay=0.8)
        for p in group['params']
    }
    last = max(rate for key, rate in theirs.items() if re.search(r'blocks|layer4', key))
    for key, rate in ours.items():
        plain = key.removeprefix('model.').removeprefix('model.')
        if re.search(r'blocks|layer\d', plain):
            assert rate / (0.5 * 0.8) == pytest.approx(theirs[plain] / last), key
