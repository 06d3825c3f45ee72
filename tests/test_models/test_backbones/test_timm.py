import copy

import pytest
import torch
from torch import nn

from mask2former.errors import CheckpointError, ConfigError, MissingPackageError
from mask2former.models.backbones import TimmBackbone
from mask2former.models.backbones.input_conv import adapt_input_conv

from .libraries import TIMM, import_timm

IMAGES = torch.randn(2, 3, 96, 160, generator=torch.Generator().manual_seed(0))


def whole_model(name, **options):
    """timm's model with its classifier, all of its weights random."""
    timm = import_timm()
    torch.manual_seed(1)
    model = timm.create_model(name, **TIMM[name], **options)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model


@pytest.mark.parametrize('name', TIMM)
def test_features_and_gradients_are_those_of_timm(name):
    timm = import_timm()
    torch.manual_seed(0)
    ours = TimmBackbone(name, pretrained=False, options=TIMM[name]).train()
    settings = dict(dynamic_img_size=True) if 'vit' in name or 'swin' in name else {}
    if 'vit' in name:
        settings['out_indices'] = (2,)
    theirs = timm.create_model(name, features_only=True, **settings, **TIMM[name])
    theirs.load_state_dict(ours.model.state_dict())
    torch.manual_seed(2)
    features = ours(IMAGES)
    torch.manual_seed(2)
    expected = theirs.train()(IMAGES)
    expected = expected[-len(features) :]
    if 'swin' in name:
        expected = [x.permute(0, 3, 1, 2) for x in expected]
    strides = (16,) if 'vit' in name else (4, 8, 16, 32)
    assert [x.shape[-2:] for x in features] == [(96 // s, 160 // s) for s in strides]
    for a, b in zip(features, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    sum(x.square().mean() for x in features).backward()
    sum(x.square().mean() for x in expected).backward()
    for (parameter, a), b in zip(ours.model.named_parameters(), theirs.parameters(), strict=True):
        assert (a.grad is None) == (not a.requires_grad), parameter
        if a.requires_grad:
            torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=0)


@pytest.mark.parametrize('name', TIMM)
def test_weights_of_a_classifier_of_any_classes_are_loaded(name, tmp_path):
    timm = import_timm()
    whole = whole_model(name, num_classes=7)
    torch.save(whole.state_dict(), tmp_path / 'weights.pth')
    backbone = TimmBackbone(name, pretrained=str(tmp_path / 'weights.pth'), options=TIMM[name])
    backbone.init_weights()
    described = timm.models.get_pretrained_cfg(name)
    assert backbone.normalization.mean == pytest.approx([255 * x for x in described.mean])
    own = [value for value in backbone.model.state_dict().values() if value.is_floating_point()]
    theirs = [value for value in whole.state_dict().values() if value.shape and value.is_floating_point()]
    for value in own:
        assert any(value.shape == x.shape and torch.equal(value, x) for x in theirs)

    images = torch.randn(1, 3, 224, 224)
    features = whole.eval().forward_intermediates(images, intermediates_only=True)
    torch.testing.assert_close(backbone.eval()(images)[-1], features[-1], rtol=1e-5, atol=1e-5)


def test_weights_of_another_size_are_refused(tmp_path):
    name = 'convnext_atto'
    for part, options in (('deeper', dict(depths=(1, 1, 3, 1))), ('wider', dict(dims=(8, 16, 24, 40)))):
        timm = import_timm()
        torch.save(timm.create_model(name, **TIMM[name] | options).state_dict(), tmp_path / f'{part}.pth')
        backbone = TimmBackbone(name, pretrained=str(tmp_path / f'{part}.pth'), options=TIMM[name])
        before = copy.deepcopy(backbone.state_dict())
        with pytest.raises(CheckpointError, match=f'{part}.pth.* does not fit TimmBackbone'):
            backbone.init_weights()
        assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


@pytest.mark.parametrize('bands', [1, 2, 4, 7])
def test_first_convolution_is_adapted_as_timm_does(bands):
    import_timm()
    from timm.models import adapt_input_conv as theirs

    weight = torch.randn(8, 3, 4, 4)
    torch.testing.assert_close(adapt_input_conv(weight, bands), theirs(bands, weight), rtol=0, atol=1e-7)


def test_published_names_say_where_their_weights_are():
    import_timm()
    backbone = TimmBackbone('convnext_atto', in_channels=2, frozen_stages=1, drop_path_rate=0.1)
    assert backbone.weights == 'hf://timm/convnext_atto.d2_in1k'
    assert [x.shape[1] for x in backbone(torch.zeros(1, 2, 64, 64))] == [40, 80, 160, 320]


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(name='convnext_atta'), "no model 'convnext_atta'.*'convnext_atto'"),
        (dict(name='convnext_atto.d3_in1k'), "no weights 'convnext_atto.d3_in1k'.*d2_in1k"),
        (dict(name='convnext_atto', pretrained=False, options=dict(depth=3)), "cannot be built: .*'depth'"),
    ],
)
def test_messages(settings, message):
    import_timm()
    with pytest.raises(ConfigError, match=message):
        TimmBackbone(**settings)


def test_timm_is_asked_for_when_it_is_missing(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'timm', None)
    with pytest.raises(MissingPackageError, match="TimmBackbone 'convnext_atto' .* pip install timm"):
        TimmBackbone('convnext_atto')
