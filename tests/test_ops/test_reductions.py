"""Reductions by whole tensors against those of NumPy and PyTorch."""

import pytest
import torch

from mask2former.ops.reductions import argmax_of_middle_, softmax_of_few


def test_argmax_of_the_middle_is_that_of_torch():
    values = torch.randn(5, 7, 11, generator=torch.Generator().manual_seed(0)).round()  # with ties
    expected = torch.from_numpy(values.numpy().argmax(1))  # numpy's is the first
    assert torch.equal(argmax_of_middle_(values.clone()), expected)
    assert argmax_of_middle_(torch.full((1, 3, 2), float('nan'))).tolist() == [[2, 2]]


@pytest.mark.parametrize('dtype, tolerance', [(torch.float32, 1e-6), (torch.float64, 1e-14), (torch.bfloat16, 0)])
@pytest.mark.parametrize('scale', [1, 100])
def test_softmax_of_few(dtype, tolerance, scale):
    x = (scale * torch.randn(5, 7, 12, generator=torch.Generator().manual_seed(0))).to(dtype).requires_grad_()
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    results = []
    for function in (softmax_of_few, lambda x: x.softmax(-1)):
        out = function(x)
        results.append((out, torch.autograd.grad(out, x, grad)[0]))
    for mine, expected in zip(*results):
        assert (mine - expected).abs().max() <= tolerance * max(1, expected.abs().max())


def test_softmax_has_the_gradients_of_finite_differences():
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(softmax_of_few, x)
