"""Weights before training, as the reference draws them."""

import math

import pytest
import torch

from tests.tiny import build_tiny

C = 32


@pytest.fixture(scope='module')
def model():
    return build_tiny(num_queries=500)


def assert_uniform(weight, bound):
    """All of the range is used, and no more."""
    assert 0.97 * bound < weight.abs().max() <= bound * (1 + 1e-6)


def test_queries_and_levels_are_standard_normal(model):
    head = model.head
    for weight in (head.query_feat.weight, head.query_embed.weight):
        assert weight.std().item() == pytest.approx(1, abs=0.03)
    assert model.pixel_decoder.level_embed.std().item() == pytest.approx(1, abs=0.3)
    assert head.level_embed.weight.std().item() == pytest.approx(1, abs=0.3)


def test_deformable_attention_looks_into_one_direction_a_head(model):
    [layer] = model.pixel_decoder.encoder
    attention = next(module for module in layer.modules() if hasattr(module, 'sampling_offsets'))
    for weight in (
        attention.sampling_offsets.weight,
        attention.attention_weights.weight,
        attention.attention_weights.bias,
        attention.value_proj.bias,
        attention.output_proj.bias,
    ):
        assert not weight.any()
    offsets = attention.sampling_offsets.bias.view(4, 3, 2, 2)  # heads, levels, points, xy
    directions = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    expected = directions[:, None, None] * torch.tensor([1.0, 2])[:, None]
    torch.testing.assert_close(offsets, expected.expand(4, 3, 2, 2), atol=1e-6, rtol=0)
    for proj in (attention.value_proj, attention.output_proj):
        assert_uniform(proj.weight, math.sqrt(6 / (2 * C)))


def test_attention_is_xavier_over_the_three_projections(model):
    attentions = [module for module in model.head.modules() if hasattr(module, 'q_proj')]
    assert len(attentions) == 2 * len(model.head.layers)
    for attention in attentions:
        for proj in (attention.q_proj, attention.k_proj, attention.v_proj):
            assert_uniform(proj.weight, math.sqrt(6 / (4 * C)))  # of one (3C, C) matrix
            assert not proj.bias.any()
        assert_uniform(attention.out_proj.weight, math.sqrt(6 / (2 * C)))


def test_mask_embedding_has_biases_and_convolutions_are_caffe2_s(model):
    assert all(layer.bias.any() for layer in model.head.mask_embed if hasattr(layer, 'bias'))
    decoder = model.pixel_decoder
    for conv in (decoder.output_convs[0][0], decoder.lateral_convs[0][0], decoder.mask_proj):
        assert_uniform(conv.weight, math.sqrt(3 / conv.weight[0].numel()))
    assert not decoder.mask_proj.bias.any()
