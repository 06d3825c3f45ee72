"""FrozenBNResNet against mmdet's ResNet with frozen BN and the same weights."""

import pytest
import torch
from mmdet.models.backbones import ResNet

from benchmarks.synthetic import randomise
from mask2former.errors import ConfigError
from mask2former.models.backbones import frozen_bn_resnet
from mask2former.models.backbones.frozen_bn_resnet import FrozenBNResNet

IMAGES = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
KINDS = pytest.mark.parametrize('depth, style', [(18, 'pytorch'), (50, 'pytorch'), (50, 'caffe')])


def build(depth=18, style='pytorch', dtype=torch.float64, **options):
    torch.manual_seed(0)
    model = FrozenBNResNet(depth, style=style, **options)
    randomise(model)
    return model.to(dtype).train()


def build_mmdet(mine, depth=18, style='pytorch', **options):
    model = ResNet(depth, style=style, norm_cfg=dict(type='BN', requires_grad=False), norm_eval=True, **options)
    model.load_state_dict(mine.state_dict(), strict=True)
    model.to(next(mine.parameters()).dtype).train()
    return model


def features_and_gradients(model, images=IMAGES):
    """The features, and the gradients of all weights and of the images."""
    images = images.detach().to(next(model.parameters()).dtype).requires_grad_()
    features = model(images)
    loss = sum((x * torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view(x.shape)).mean() for x in features)
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return features, dict(gradients, images=images.grad)


def check_equal(mine, other, tolerance):
    for x, y in zip(mine[0], other[0], strict=True):
        assert x.shape == y.shape and (x - y).abs().max() <= tolerance * y.abs().max()
    assert mine[1].keys() == other[1].keys()
    for name, y in other[1].items():
        assert (mine[1][name] - y).abs().max() <= tolerance * y.abs().max(), name


@KINDS
def test_features_and_gradients_are_those_of_mmdet(depth, style):
    mine = build(depth, style)
    other = build_mmdet(mine, depth, style)
    check_equal(features_and_gradients(mine), features_and_gradients(other), 1e-12)
    trainable = {name for name, p in mine.named_parameters() if p.requires_grad}
    assert trainable == {name for name, p in other.named_parameters() if p.requires_grad}
    assert trainable and not any('bn' in name or 'downsample.1' in name for name in trainable)


@KINDS
def test_gradients_in_float32(depth, style):
    """Now and then some ReLU has its input on the other side of zero: a hundredth of a gradient. So one image of three
    must have no such, and all gradients equal."""
    mine = build(depth, style, torch.float32)
    other = build_mmdet(mine, depth, style)
    worst = []
    for image in torch.randn(3, *IMAGES.shape, generator=torch.Generator().manual_seed(1)):
        (_, found), (_, expected) = (features_and_gradients(model, image) for model in (mine, other))
        worst.append(max(float((found[name] - y).abs().max() / y.abs().max()) for name, y in expected.items()))
        mine.zero_grad()
        other.zero_grad()
    assert min(worst) <= 5e-6


@KINDS
def test_features_in_float32(depth, style):
    mine = build(depth, style, torch.float32)
    with torch.no_grad():
        features = mine(IMAGES.float())
        expected = build_mmdet(mine, depth, style).double()(IMAGES)
    for x, y in zip(features, expected):
        assert x.dtype == torch.float32 and (x - y).abs().max() <= 5e-6 * y.abs().max()


@pytest.mark.parametrize('depth', [18, 50])
def test_names_of_the_weights_are_mmdets(depth):
    mine, other = build(depth), ResNet(depth)
    assert list(mine.state_dict()) == list(other.state_dict())
    assert [name for name, _ in mine.named_parameters()] == [name for name, _ in other.named_parameters()]


@pytest.mark.parametrize('depth', [18, 50])
def test_recomputed_blocks_give_the_same_gradients(depth, monkeypatch):
    expected = features_and_gradients(build(depth))
    blocks = []

    def watch(block, x, **options):
        blocks.append(block)
        return checkpoint(block, x, **options)

    checkpoint = frozen_bn_resnet.checkpoint
    monkeypatch.setattr(frozen_bn_resnet, 'checkpoint', watch)
    check_equal(features_and_gradients(build(depth, with_cp=True)), expected, 0)
    assert len(blocks) == {18: 8, 50: 16}[depth]
    with torch.no_grad():
        build(depth, with_cp=True)(IMAGES)
    assert len(blocks) == {18: 8, 50: 16}[depth], 'without gradients there is nothing to compute once more'


@pytest.mark.parametrize('stages', [0, 1, 4])
def test_frozen_stages(stages):
    mine = build(frozen_stages=stages)
    other = build_mmdet(mine, frozen_stages=stages)
    check_equal(features_and_gradients(mine), features_and_gradients(other), 1e-12)
    assert mine.conv1.weight.grad is None
    for i, name in enumerate(mine.res_layers, 1):
        assert all((p.grad is None) == (i <= stages) for n, p in getattr(mine, name).named_parameters() if 'conv' in n)


@pytest.mark.parametrize('options', [dict(out_indices=(1, 3)), dict(num_stages=2, out_indices=(0, 1))], ids=str)
def test_choice_of_features(options):
    mine = build(**options)
    check_equal(
        features_and_gradients(mine),
        features_and_gradients(
            build_mmdet(
                mine, **options, **({'strides': (1, 2), 'dilations': (1, 1)} if 'num_stages' in options else {})
            )
        ),
        1e-12,
    )


def test_training_changes_no_statistics_and_no_features():
    model = build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = model(IMAGES)
    model.eval()
    evaluated = model(IMAGES)
    assert all(torch.equal(x, y) for x, y in zip(trained, evaluated))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_compile_traces_it_whole():
    model = build(dtype=torch.float32)
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend='eager')
    for x, y in zip(compiled(IMAGES.float()), model(IMAGES.float())):
        assert (x - y).abs().max() <= 5e-6 * y.abs().max()


def test_a_deep_stem_and_dilations_are_those_of_mmdet():
    """mmdet has no dilation for each block; its convolutions are told."""
    mine = build(18, deep_stem=True, multi_grid=(2, 4))
    other = build_mmdet(mine, 18, deep_stem=True, stem_channels=128)
    for block, dilation in zip(other.layer4, (2, 4)):
        block.conv2.dilation = block.conv2.padding = (dilation, dilation)
    check_equal(features_and_gradients(mine), features_and_gradients(other), 1e-12)
    assert features_and_gradients(mine)[0][-1].shape[-2:] == (2, 3)
    with pytest.raises(ConfigError, match='multi_grid has 3 numbers, the last stage has 2 blocks'):
        FrozenBNResNet(18, multi_grid=(1, 2, 4))


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(depth=20), 'no depth 20: choose one of 18, 34, 50, 101, 152'),
        (dict(depth=18, style='tensorflow'), "'pytorch' or 'caffe', but here 'tensorflow'"),
        (dict(depth=18, num_stages=3), r'num_stages is 3, out_indices \[0, 1, 2, 3\]'),
    ],
)
def test_what_there_is_not_is_said(options, message):
    with pytest.raises(ConfigError, match=message):
        FrozenBNResNet(**options)
