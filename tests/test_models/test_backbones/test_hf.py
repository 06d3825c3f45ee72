import copy
import json

import pytest
import torch
from mmengine.config import ConfigDict
from transformers import AutoBackbone, AutoConfig, AutoModel, AutoModelForImageClassification, ConvNextBackbone
from transformers import logging as transformers_logging

from mask2former.errors import CheckpointError, ConfigError, MissingPackageError
from mask2former.models.backbones import HFBackbone
from mask2former.registry import MODELS

from .libraries import HF, HIERARCHICAL, PLAIN, hf_config

IMAGES = torch.randn(2, 3, 96, 160, generator=torch.Generator().manual_seed(0))


def build(kind: str, **settings) -> HFBackbone:
    torch.manual_seed(0)
    return MODELS.build(hf_config(kind, **settings))


def published(kind: str, folder, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), **changed):
    """A folder as the hub has it, of a classifier where transformers has one of the kind."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(1)
    config = AutoConfig.for_model(kind, **HF[kind] | changed)
    known = kind not in ('dinov3_vit', 'dinov3_convnext')
    model = (AutoModelForImageClassification if known else AutoModel).from_config(config)
    for parameter in model.parameters():  # norms and scales that are not what they are at first
        torch.nn.init.normal_(parameter, std=0.1)
    transformers_logging.disable_progress_bar()
    model.save_pretrained(folder)
    (folder / 'preprocessor_config.json').write_text(json.dumps(dict(image_mean=mean, image_std=std)))
    return folder


@pytest.mark.parametrize('kind', HIERARCHICAL)
def test_features_and_gradients_are_those_of_transformers(kind):
    ours = build(kind).train()
    config = AutoConfig.for_model(kind, **HF[kind])
    config.out_features = ['stage1', 'stage2', 'stage3', 'stage4']
    theirs = AutoBackbone.from_config(config).train()
    theirs.load_state_dict(ours.model.state_dict())

    torch.manual_seed(2)
    features = ours(IMAGES)
    torch.manual_seed(2)
    expected = theirs(IMAGES).feature_maps
    assert [x.shape[-2:] for x in features] == [(96 // s, 160 // s) for s in (4, 8, 16, 32)]
    for a, b in zip(features, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    sum(x.square().mean() for x in features).backward()
    sum(x.square().mean() for x in expected).backward()
    for (name, a), b in zip(ours.model.named_parameters(), theirs.parameters(), strict=True):
        assert (a.grad is None) == (not a.requires_grad), name
        if a.requires_grad:
            torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=0)


def test_a_focal_net_gives_four_strides():
    """What its stages give to the next ones, which transformers counts as their own features."""
    sizes = dict(embed_dim=8, depths=[1, 1, 2, 1], hidden_sizes=[8, 16, 24, 32], image_size=64)
    ours = HFBackbone(config=dict(sizes, model_type='focalnet'), pretrained=False).eval()
    theirs = AutoBackbone.from_config(AutoConfig.for_model('focalnet', **sizes, out_indices=[0, 1, 2, 4])).eval()
    theirs.load_state_dict(ours.model.state_dict())
    features = ours(IMAGES)
    assert [x.shape[-2:] for x in features] == [(96 // s, 160 // s) for s in (4, 8, 16, 32)]
    for a, b in zip(features, theirs(IMAGES).feature_maps, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_a_backbone_of_one_image_size_is_refused():
    sizes = dict(embed_dim=8, depths=[1, 1, 2, 1], num_heads=[1, 1, 2, 2], image_size=[64, 64])
    with pytest.raises(ConfigError, match="'hiera' does not take images of 128 x 128 .* choose a model that takes any"):
        HFBackbone(config=dict(sizes, model_type='hiera'), pretrained=False)


@pytest.mark.parametrize('kind', PLAIN)
def test_last_tokens_are_those_of_transformers(kind):
    ours = build(kind).eval()
    config = AutoConfig.for_model(kind, **HF[kind])
    theirs = AutoModel.from_config(config, **(dict(add_pooling_layer=False) if kind == 'vit' else {})).eval()
    patch = config.patch_size
    h, w = 96 // patch, 160 // patch

    def named(state):  # a backbone's names are those of the model
        return {name: state[name] for name in theirs.state_dict()}

    theirs.load_state_dict(named(ours.model.state_dict()))
    tokens = theirs(IMAGES, **(dict(interpolate_pos_encoding=True) if kind == 'vit' else {})).last_hidden_state
    expected = tokens[:, -h * w :].transpose(1, 2).reshape(2, 32, h, w)
    (features,) = ours(IMAGES)
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize('kind', HF)
def test_published_weights_are_loaded_once_and_under_their_names(kind, tmp_path):
    folder = published(kind, tmp_path)
    backbone = HFBackbone(name=str(folder))
    before = copy.deepcopy(backbone.state_dict())
    backbone.init_weights()
    after = backbone.state_dict()

    if kind == 'vit':
        theirs = AutoModel.from_pretrained(str(folder), add_pooling_layer=False)
    else:
        theirs = type(backbone.model).from_pretrained(str(folder), out_indices=list(backbone.config.out_indices))
    for name, value in theirs.state_dict().items():
        if 'hidden_states_norms' not in name and 'num_batches' not in name:  # which no published weights have
            assert torch.equal(after[f'model.{name}'], value), name
    assert not all(torch.equal(before[name], after[name]) for name in after)
    assert backbone.normalization.mean == pytest.approx((127.5,) * 3)
    assert backbone.normalization.std == pytest.approx((63.75,) * 3)

    changed = {name: value + 1 for name, value in after.items()}
    backbone.load_state_dict(changed)
    backbone.init_weights()
    assert all(torch.equal(changed[name], value) for name, value in backbone.state_dict().items())


def test_sizes_beside_the_name_ask_for_nothing_until_the_weights_are_loaded(tmp_path):
    sizes = dict(HF['convnext'], model_type='convnext')
    backbone = HFBackbone(name='nobody/has-this-model', config=ConfigDict(sizes))
    assert backbone.weights == 'hf://nobody/has-this-model' and backbone.normalization is None
    published('convnext', tmp_path)
    backbone = HFBackbone(config=sizes, pretrained=str(tmp_path / 'model.safetensors'))
    assert backbone.normalization.mean == pytest.approx((127.5,) * 3)
    backbone.init_weights()
    torch.testing.assert_close(
        backbone.model.embeddings.patch_embeddings.weight,
        ConvNextBackbone.from_pretrained(str(tmp_path)).embeddings.patch_embeddings.weight,
    )


@pytest.mark.parametrize(
    'changed, message',
    [
        (dict(hidden_sizes=[8, 16, 24, 40]), r'has the shape \(32.* instead of \(40'),
        (dict(depths=[1, 1, 1, 1]), 'stages.2.layers.1.* has no place in it'),
        (dict(depths=[1, 1, 3, 1]), "it lacks '.*stages.2.layers.2"),
    ],
)
def test_weights_of_another_size_are_refused(changed, message, tmp_path):
    published('convnext', tmp_path)
    backbone = HFBackbone(config=dict(HF['convnext'], **changed, model_type='convnext'), pretrained=str(tmp_path))
    before = copy.deepcopy(backbone.state_dict())
    with pytest.raises(CheckpointError, match=message):
        backbone.init_weights()
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_pickled_weights_are_read_without_running_code(tmp_path):
    published('convnext', tmp_path)
    config = dict(HF['convnext'], model_type='convnext')
    state = ConvNextBackbone.from_pretrained(str(tmp_path)).state_dict()
    torch.save(state, tmp_path / 'weights.pth')
    backbone = HFBackbone(config=config, pretrained=str(tmp_path / 'weights.pth'))
    backbone.init_weights()
    assert torch.equal(backbone.model.embeddings.patch_embeddings.bias, state['embeddings.patch_embeddings.bias'])
    torch.save(dict(state, other=print), tmp_path / 'code.pth')
    with pytest.raises(CheckpointError, match='could run code'):
        HFBackbone(config=config, pretrained=str(tmp_path / 'code.pth')).init_weights()


@pytest.mark.parametrize('bands', [1, 6])
def test_weights_of_three_bands_give_the_same_for_images_that_repeat_theirs(bands, tmp_path):
    published('convnext', tmp_path)
    theirs, ours = HFBackbone(name=str(tmp_path)), HFBackbone(name=str(tmp_path), in_channels=bands)
    for backbone in (theirs, ours):
        for parameter in backbone.parameters():  # the norms of the features, which no weights have, too
            torch.nn.init.ones_(parameter)
        backbone.init_weights()
    images = IMAGES if bands == 6 else IMAGES[:, :1].expand(-1, 3, -1, -1)
    repeated = IMAGES.repeat(1, 2, 1, 1) if bands == 6 else IMAGES[:, :1]
    for a, b in zip(ours(repeated), theirs(images), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_recomputing_blocks_changes_nothing():
    plain, recomputing = build('dinov3_vit', drop_path_rate=0.2), build('dinov3_vit', drop_path_rate=0.2, with_cp=True)
    recomputing = copy.deepcopy(recomputing)
    gradients = []
    for backbone in (plain, recomputing):
        torch.manual_seed(3)
        backbone.train()(IMAGES)[0].square().mean().backward()
        gradients.append([x.grad for x in backbone.parameters() if x.requires_grad])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_recomputing_calls_every_block_twice():
    backbone = build('convnext', with_cp=True)
    calls = []
    block = backbone.model.encoder.stages[2].layers[1]
    block.dwconv.register_forward_hook(lambda *_: calls.append(1))
    backbone(IMAGES)[-1].sum().backward()
    assert len(calls) == 2


def test_frozen_stages():
    backbone = build('resnet', frozen_stages=2).train()
    trained = {name for name, x in backbone.named_parameters() if x.requires_grad}
    assert trained and all('stages.2' in name or 'stages.3' in name for name in trained)
    assert not backbone.model.embedder.embedder.normalization.training
    assert backbone.model.encoder.stages[3].layers[0].layer[0].normalization.training
    vit = build('vit', frozen_stages=1)
    trained = {name for name, x in vit.named_parameters() if x.requires_grad}
    assert trained and all(name.startswith(('model.layers.1', 'model.layers.2', 'model.layernorm')) for name in trained)


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(config=dict(model_type='convnext'), pretrained=True), "needs name='owner/name'"),
        (dict(), "needs name='owner/name'"),
        (dict(config=dict(model_type='convnex'), pretrained=False), "model_type 'convnex'.*did you mean 'convnext'"),
        (dict(config=dict(model_type='convnext', depth=[1]), pretrained=False), "'depth' is no setting.*'depths'"),
        (dict(config=dict(model_type='convnext', depths='3'), pretrained=False), "'convnext': .*depths"),
        (dict(config=dict(model_type='bert'), pretrained=False), "no backbone of the type 'bert'"),
        (
            dict(config=dict(HF['resnet'], model_type='resnet'), pretrained=False, drop_path_rate=0.1),
            'no drop_path_rate',
        ),
        (dict(config=dict(HF['convnext'], model_type='convnext'), pretrained=False, out_indices=[7]), 'out_indices'),
        (dict(config=dict(HF['convnext'], model_type='convnext'), pretrained=False, frozen_stages=9), '-1 .. 5'),
        (dict(config=dict(HF['resnet'], model_type='resnet'), pretrained=False, with_cp=True), 'norm_eval=True'),
        (dict(config=dict(HF['vit'], model_type='vit'), pretrained=False, out_indices=[1]), 'last features only'),
    ],
)
def test_messages(settings, message):
    with pytest.raises(ConfigError, match=message):
        HFBackbone(**settings)


def test_transformers_is_asked_for_when_it_is_missing(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'transformers', None)
    with pytest.raises(MissingPackageError, match="HFBackbone 'convnext' .* pip install transformers"):
        build('convnext')
