"""Every published architecture at its full size: names and shapes of the reference, and conversions bit for bit."""

import pytest
import torch
from mmdet.models.backbones.swin import swin_converter

from mask2former.checkpoints.convert import EMPTY_WEIGHT, FORMATS, convert_raw, to_format
from mask2former.checkpoints.infer import expected_shapes
from mask2former.checkpoints.read import RawCheckpoint

from .detectron2_names import BACKBONES, CLASSES, QUERIES, published
from .small import random_state

MODELS = [
    (backbone, queries, CLASSES[(i + j) % len(CLASSES)])
    for i, backbone in enumerate(BACKBONES)
    for j, queries in enumerate(QUERIES)
]
NAMES = {
    'r50': 'ResNet-50',
    'r101': 'ResNet-101',
    'swin-t': 'Swin-T',
    'swin-s': 'Swin-S',
    'swin-b': 'Swin-B',
    'swin-l': 'Swin-L',
}


def reference(backbone: str, queries: int = 100, classes: int = 133) -> dict[str, torch.Tensor]:
    state = random_state(published(backbone, queries, classes))
    state[EMPTY_WEIGHT] = torch.tensor([1.0] * classes + [0.1])
    return state


def read(state: dict, meta: dict | None = None):
    return convert_raw(RawCheckpoint(state, meta or {}, {}), 'the file')


def assert_same(state: dict, other: dict) -> None:
    assert set(state) == set(other)
    for name, value in state.items():
        assert value.dtype == other[name].dtype and torch.equal(value, other[name]), name


@pytest.mark.parametrize(('backbone', 'queries', 'classes'), MODELS)
def test_round_trips_are_bit_exact(backbone, queries, classes):
    """From the reference's layout through each format and back; each file reads as the same model."""
    source = reference(backbone, queries, classes)
    ours = read(source)
    assert str(ours.report.architecture) == f'{NAMES[backbone]}, {queries} queries, {classes} classes'
    assert ours.report.architecture.num_heads == 8
    assert_same(to_format(ours, 'detectron2')[0], source)
    for target in (name for name, format in FORMATS.items() if 'mask2former' in format.keys):
        written, _ = to_format(ours, target)
        again = read(written, ours.meta)
        assert again.report.source == target
        assert_same(again.state, ours.state)
        assert_same(to_format(again, target)[0], written)
        assert_same(to_format(again, 'detectron2')[0], source)


@pytest.mark.parametrize('backbone', BACKBONES)
def test_every_weight_is_accounted_for(backbone):
    source = reference(backbone)
    ours = read(source)
    report = ours.report
    assert set(ours.state) == set(expected_shapes(report.architecture))
    assert set(report.dropped) == {EMPTY_WEIGHT}
    assert {name.rpartition('.')[2] for name in report.made} <= {'num_batches_tracked'}
    q_k_v = 2 * 2 * 2 * 9  # of one weight or bias three are made, in two attentions of nine layers
    assert report.written == report.read - 1 + len(report.made) + q_k_v == len(ours.state)


@pytest.mark.parametrize('backbone', BACKBONES)
def test_written_models_have_the_reference_s_names_and_shapes(backbone):
    ours = read(random_state(published(backbone, 200, 65)))
    shapes = {name: tuple(value.shape) for name, value in to_format(ours, 'detectron2')[0].items()}
    assert shapes == published(backbone, 200, 65)


def test_swin_is_read_as_mmdet_reads_the_official_layout():
    source = reference('swin-t')
    official = {name.removeprefix('backbone.'): value for name, value in source.items() if name.startswith('backbone.')}
    ours = read(source).state
    assert_same({name: value for name, value in ours.items() if name.startswith('backbone.')}, swin_converter(official))


def test_the_reference_s_decoder_is_mmdet_s():
    """mmdet's names are tested with its own code; these are what the reference calls the same."""
    source = reference('r50')
    mmdet, _ = to_format(read(source), 'mmdet')
    head, layers = 'sem_seg_head.predictor.transformer_', 'panoptic_head.transformer_decoder.layers.'
    pairs = {
        head + 'cross_attention_layers.3.multihead_attn.in_proj_weight': layers + '3.cross_attn.attn.in_proj_weight',
        head + 'self_attention_layers.3.self_attn.in_proj_bias': layers + '3.self_attn.attn.in_proj_bias',
        head + 'ffn_layers.8.norm.weight': layers + '8.norms.2.weight',
        'sem_seg_head.predictor.query_feat.weight': 'panoptic_head.query_feat.weight',
        'sem_seg_head.predictor.query_embed.weight': 'panoptic_head.query_embed.weight',
        'sem_seg_head.predictor.level_embed.weight': 'panoptic_head.level_embed.weight',
        'sem_seg_head.pixel_decoder.transformer.level_embed': 'panoptic_head.pixel_decoder.level_encoding.weight',
        'sem_seg_head.pixel_decoder.input_proj.0.0.bias': 'panoptic_head.pixel_decoder.input_convs.0.conv.bias',
        'sem_seg_head.pixel_decoder.adapter_1.norm.bias': 'panoptic_head.pixel_decoder.lateral_convs.0.gn.bias',
        'backbone.res4.5.conv2.norm.running_var': 'backbone.layer3.5.bn2.running_var',
        'backbone.res2.0.shortcut.weight': 'backbone.layer1.0.downsample.0.weight',
    }
    for theirs, name in pairs.items():
        assert torch.equal(source[theirs], mmdet[name]), theirs


def test_unequal_weights_of_the_classes_survive():
    source = reference('r50', classes=8)
    source[EMPTY_WEIGHT] = torch.linspace(0.3, 2, 9)
    ours = read(source)
    assert_same(to_format(ours, 'detectron2')[0], source)
    assert torch.equal(to_format(ours, 'transformers')[0][EMPTY_WEIGHT], source[EMPTY_WEIGHT])


@pytest.mark.parametrize(
    'change',
    [
        lambda name: f'module.{name}',
        lambda name: name.replace('query_feat', 'static_query'),
        lambda name: name.replace('sem_seg_head.pixel_decoder.', 'sem_seg_head.'),
    ],
)
def test_older_ages_of_the_reference(change):
    source = reference('r50')
    old = {change(name): value for name, value in source.items()}
    assert set(old) != set(source)
    assert_same(read(old).state, read(source).state)


def test_saved_means_are_listed():
    source = reference('r50') | {'pixel_mean': torch.zeros(3, 1, 1), 'pixel_std': torch.ones(3, 1, 1)}
    report = read(source).report
    assert {'pixel_mean', 'pixel_std'} <= set(report.dropped)
    assert 'data_preprocessor' in report.dropped['pixel_mean'] and 'pixel_mean' in str(report)
