"""The parameter groups equal those of the reference and of mmdet."""

import mmdet.models  # noqa: F401  (registers the backbones)
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import DefaultScope
from torch import nn

from benchmarks.peers import MMDET_CONFIGS
from mask2former.checkpoints.keys_mmdet import MMDET
from mask2former.engine import SegOptimWrapper, SegOptimWrapperConstructor
from mask2former.errors import ConfigError
from tests.test_models.peers import BACKBONES, build_mmdet, build_ours
from tests.tiny import build_tiny

LR, DECAY = 1e-4, 0.05
# What the reference implementation (train_net.py of facebookresearch/Mask2Former) calls a norm.
NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.LayerNorm,
    nn.LocalResponseNorm,
)


def build_wrapper(model, **paramwise_cfg):
    cfg = dict(
        type='SegOptimWrapper', optimizer=dict(type='AdamW', lr=LR, weight_decay=DECAY), clip_grad=dict(max_norm=0.01)
    )
    return SegOptimWrapperConstructor(cfg, paramwise_cfg)(model)


def settings_of(optimizer, model):
    """``{name: (lr, weight_decay)}``, each parameter being in one group."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    found = [(names[p], (g['lr'], g['weight_decay'])) for g in optimizer.param_groups for p in g['params']]
    assert len(dict(found)) == len(found), 'a parameter is in two groups'
    return dict(found)


def reference_settings(model):
    settings = {}
    for name, parameter in model.named_parameters():
        owner, _, leaf = name.rpartition('.')
        no_decay = (
            isinstance(model.get_submodule(owner), (*NORMS, nn.Embedding))
            or 'relative_position_bias_table' in leaf
            or 'absolute_pos_embed' in leaf
        )
        if parameter.requires_grad:
            settings[name] = (LR * (0.1 if 'backbone' in name else 1), 0.0 if no_decay else DECAY)
    return settings


@pytest.mark.parametrize('backbone', BACKBONES)
def test_groups_follow_the_reference_and_mmdet(backbone):
    ours = build_ours(backbone)
    wrapper = build_wrapper(ours)
    settings = settings_of(wrapper.optimizer, ours)
    assert settings == reference_settings(ours)
    assert len(wrapper.optimizer.param_groups) == len(set(settings.values())) == (3 if backbone == 'r50' else 4)
    assert {'backbone.bn1.weight', 'backbone.norm0.weight'} & settings.keys() == (
        {'backbone.norm0.weight'} if backbone == 'swin-t' else set()
    ), 'batch norm is frozen'

    # mmdet's, by its own config and mmengine's constructor, under our names.
    theirs = build_mmdet(ours, backbone)
    name = {'r50': 'r50', 'swin-t': 'swin-t-p4-w7-224'}[backbone]
    cfg = Config.fromfile(MMDET_CONFIGS / f'mask2former_{name}_8xb2-lsj-50e_coco-panoptic.py').optim_wrapper
    paramwise_cfg = cfg.pop('paramwise_cfg')
    with DefaultScope.overwrite_default_scope('mmdet'):
        their_wrapper = DefaultOptimWrapperConstructor(cfg, paramwise_cfg)(theirs)
    trainable = {name for name, parameter in theirs.named_parameters() if parameter.requires_grad}
    their_settings = {
        name: value for name, value in settings_of(their_wrapper.optimizer, theirs).items() if name in trainable
    }
    parameters = {name: p for name, p in ours.named_parameters() if p.requires_grad}
    for i in range(2):
        filled = {name: torch.full_like(p, settings[name][i]) for name, p in parameters.items()}
        mapped = MMDET.to_theirs(filled)
        assert mapped.keys() == trainable
        for name, values in mapped.items():
            assert torch.allclose(values, torch.tensor(their_settings[name][i]), rtol=1e-6, atol=0), name


def test_every_trainable_parameter_is_in_one_group():
    model = build_tiny()
    model.head.class_embed.requires_grad_(False)
    settings = settings_of(build_wrapper(model).optimizer, model)
    assert settings.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    assert settings == reference_settings(model) and 'head.class_embed.weight' not in settings


def test_shared_parameter_is_in_one_group():
    model = build_tiny()
    model.head.level_embed.weight = model.pixel_decoder.level_embed
    settings = settings_of(build_wrapper(model).optimizer, model)
    assert 'pixel_decoder.level_embed' in settings and 'head.level_embed.weight' not in settings


def test_backbone_lr_mult():
    model = build_tiny()
    settings = settings_of(build_wrapper(model, backbone_lr_mult=0.5).optimizer, model)
    assert settings['backbone.conv1.weight'] == (LR * 0.5, DECAY)
    assert settings['head.class_embed.weight'] == (LR, DECAY)


def test_wrapped_model_has_the_same_groups():
    model = build_tiny()
    assert settings_of(build_wrapper(nn.DataParallel(model)).optimizer, model) == reference_settings(model)


def test_wrapper_gets_its_own_settings():
    wrapper = build_wrapper(build_tiny())
    assert isinstance(wrapper, SegOptimWrapper) and wrapper.clip_grad_kwargs == dict(max_norm=0.01)


def test_unknown_setting():
    with pytest.raises(ValueError, match=r"knows only backbone_lr_mult and layer_decay, not \['custom_keys'\]"):
        SegOptimWrapperConstructor(dict(optimizer=dict(type='AdamW', lr=LR)), dict(custom_keys={}))


@pytest.mark.parametrize('value', [0, 1.2])
def test_layer_decay_is_a_share(value):
    with pytest.raises(ConfigError, match='layer_decay must lie in'):
        SegOptimWrapperConstructor(dict(optimizer=dict(type='AdamW', lr=LR)), dict(layer_decay=value))
