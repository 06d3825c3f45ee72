import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mask2former.errors import ConfigError
from mask2former.models.backbones import SimpleFeaturePyramid
from mask2former.models.backbones.layer_order import blocks_of, layer_order
from mask2former.registry import MODELS
from tests.tiny import random_images, sample_of, tiny_config

from .libraries import PLAIN, hf_config
from .test_hf import published


def build(kind, **settings):
    torch.manual_seed(0)
    return SimpleFeaturePyramid(hf_config(kind, **settings), out_channels=8)


@MODELS.register_module()
class PatchMeans(BaseModule):
    """The mean of each patch, four times."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, patch, stride=patch, bias=False)
        nn.init.constant_(self.conv.weight, 1 / patch**2)

    def forward(self, x):
        return (self.conv(x),)


def plain(pyramid, x):
    """ViTDet's code, in functions."""
    state = {name: value for name, value in pyramid.scales.state_dict().items()}

    def norm(x, name):
        mean, var = x.mean(1, keepdim=True), x.var(1, correction=0, keepdim=True)
        weight, bias = (state[f'{name}.{part}'][:, None, None] for part in ('weight', 'bias'))
        return (x - mean) / (var + 1e-6).sqrt() * weight + bias

    def transposed(x, name):
        return F.conv_transpose2d(x, state[f'{name}.weight'], state[f'{name}.bias'], stride=2)

    twice = F.gelu(norm(transposed(x, 'stride4.0.0'), 'stride4.0.1'))
    maps = dict(
        stride4=transposed(twice, 'stride4.0.3'),
        stride8=transposed(x, 'stride8.0'),
        stride16=x,
        stride32=F.max_pool2d(x, 2),
    )
    for name, x in maps.items():
        x = norm(F.conv2d(x, state[f'{name}.1.weight']), f'{name}.2')
        yield norm(F.conv2d(x, state[f'{name}.3.weight'], padding=1), f'{name}.4')


def test_the_pyramid_is_that_of_a_plain_computation():
    pyramid = build('vit').eval()
    for parameter in pyramid.scales.parameters():
        nn.init.normal_(parameter)
    images = torch.randn(2, 3, 96, 160)
    for a, b in zip(pyramid(images), plain(pyramid, pyramid.backbone(images)[-1]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('patch', [8, 14, 15, 16, 32])
def test_the_map_lies_where_that_of_stride_16_does(patch):
    pyramid = SimpleFeaturePyramid(dict(type='PatchMeans', patch=patch))
    pyramid.scales = nn.ModuleDict({'stride16': nn.Identity()})
    H, W = 96, 352
    ramp = torch.arange(W, dtype=torch.float32).expand(1, 1, H, W) + 0.5
    [features] = pyramid(ramp)
    assert features.shape == (1, 4, 6, 22)
    inner = slice(1, 20)  # not where the border or the padding has a part
    expected = (torch.arange(22) + 0.5) * 16
    torch.testing.assert_close(features[0, 0, 1, inner], expected[inner], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize('kind', PLAIN)
def test_strides_channels_and_a_step(kind):
    torch.manual_seed(0)
    cfg = dict(type='SimpleFeaturePyramid', backbone=hf_config(kind), out_channels=8)
    model = MODELS.build(dict(tiny_config(), backbone=cfg))
    model.init_weights()
    features = model.backbone(torch.randn(1, 3, 64, 224))
    assert [x.shape for x in features] == [(1, 8, 64 // s, 224 // s) for s in (4, 8, 16, 32)]
    masks = torch.ones(1, 64, 96, dtype=torch.bool)
    sum(model.train().loss(random_images(1), [sample_of(masks)]).values()).backward()
    assert all(x.grad is not None for x in model.backbone.parameters() if x.requires_grad)


def test_blocks_are_those_of_the_transformer():
    pyramid = build('dinov2')
    assert len(blocks_of(pyramid)) == 3
    depths = layer_order(pyramid).depths
    assert {depths[name] for name in depths if name.startswith('scales')} == {4}


def test_weights_and_their_normalisation_reach_the_model(tmp_path):
    folder = str(published('dinov2', tmp_path))
    cfg = dict(type='SimpleFeaturePyramid', backbone=dict(type='HFBackbone', name=folder), out_channels=8)
    model = MODELS.build(dict(tiny_config(), backbone=cfg))
    assert model.data_preprocessor.mean.flatten().tolist() == [127.5] * 3
    model.init_weights()
    state = model.backbone.backbone.read_weights(folder)
    own = model.backbone.backbone.model.state_dict()
    assert all(torch.equal(own[name], value) for name, value in state.items())


def test_maps_of_no_patches_are_refused():
    with pytest.raises(ConfigError, match='needs a map of patches'):
        build('convnext')
