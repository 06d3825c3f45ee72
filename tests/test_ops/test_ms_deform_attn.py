"""The value and the three gradients of deformable attention against mmcv's and transformers' implementations."""

import pytest
import torch
from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

from mask2former.ops import ms_deform_attn

LEVELS = [(3, 5), (6, 10), (11, 20)]


def make_inputs(dtype, batch_size=2, tokens=17, heads=4, width=8, points=3):
    generator = torch.Generator().manual_seed(0)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)

    value = rand(batch_size, sum(h * w for h, w in LEVELS), heads, width) - 0.5
    # Some points lie outside of the image.
    locations = rand(batch_size, tokens, heads, len(LEVELS), points, 2) * 1.4 - 0.2
    weights = rand(batch_size, tokens, heads, len(LEVELS), points)
    return [x.requires_grad_() for x in (value, locations, weights)]


def mmcv_attention(value, levels, locations, weights):
    return multi_scale_deformable_attn_pytorch(value, torch.tensor(levels), locations, weights)


def transformers_attention(value, levels, locations, weights):
    from transformers.models.mask2former.modeling_mask2former import multi_scale_deformable_attention
    return multi_scale_deformable_attention(value, levels, locations, weights)


@pytest.mark.parametrize('peer', [mmcv_attention, transformers_attention])
@pytest.mark.parametrize('dtype, tolerance', [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_value_and_gradients(peer, dtype, tolerance):
    inputs = make_inputs(dtype)
    results = []
    for function in (ms_deform_attn, peer):
        out = function(inputs[0], LEVELS, *inputs[1:])
        results.append((out, *torch.autograd.grad((out**2).sum(), inputs)))
    for mine, other in zip(*results):
        assert mine.shape == other.shape
        assert (mine - other).abs().max() <= tolerance * other.abs().max()


def test_gradients_are_those_of_finite_differences():
    value, locations, weights = make_inputs(torch.float64, batch_size=1, tokens=2, heads=1, width=2, points=1)
    assert torch.autograd.gradcheck(lambda *x: ms_deform_attn(x[0], LEVELS, *x[1:]), (value, locations, weights))
