"""The feed-forward network that computes its inner values again, against PyTorch's ordinary functions."""

import pytest
import torch
import torch.nn.functional as F

from mask2former.ops import feed_forward as module
from mask2former.ops.feed_forward import feed_forward

pytestmark = pytest.mark.usefixtures('backend')
C, INNER = 24, 40


def make_inputs(shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    sizes = [(*shape, C), (INNER, C), (INNER,), (C, INNER), (C,)]
    return [torch.randn(*size, generator=generator, dtype=dtype).requires_grad_() for size in sizes]


def ordinary(x, weight1, bias1, weight2, bias2):
    return x + F.linear(F.linear(x, weight1, bias1).relu(), weight2, bias2)


@pytest.mark.parametrize('kept', [0, 2**23])
@pytest.mark.parametrize('tokens', [1, 4, 1000])
@pytest.mark.parametrize('shape', [(2, 9), (10,), (1, 1)])
@pytest.mark.parametrize('dtype, tolerance', [(torch.float32, 2e-6), (torch.float64, 1e-14)])
def test_value_and_gradients(dtype, tolerance, shape, tokens, kept, monkeypatch):
    monkeypatch.setattr(module, 'MAX_TOKENS', tokens)
    monkeypatch.setattr(module, 'MAX_KEPT', kept)
    inputs = make_inputs(shape, dtype)
    grad = torch.randn(*shape, C, generator=torch.Generator().manual_seed(1), dtype=dtype)
    results = []
    for function in (feed_forward, ordinary):
        out = function(*inputs)
        results.append((out, *torch.autograd.grad(out, inputs, grad)))
    for mine, expected in zip(*results):
        assert mine.shape == expected.shape and mine.dtype == dtype
        assert (mine - expected).abs().max() <= tolerance * expected.abs().max()


def test_inner_values_of_many_tokens_are_not_kept(monkeypatch):
    def kept_for_backward():
        sizes = []
        inputs = make_inputs((50,))
        with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
            feed_forward(*inputs)
        return sizes

    assert 50 * INNER in kept_for_backward()
    monkeypatch.setattr(module, 'MAX_KEPT', 0)
    assert 50 * INNER not in kept_for_backward()


def test_without_gradients():
    inputs = make_inputs((3, 5))
    with torch.no_grad():
        torch.testing.assert_close(feed_forward(*inputs), ordinary(*inputs), rtol=0, atol=1e-5)
