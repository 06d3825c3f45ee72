"""Winograd's convolutions against PyTorch's own in float64, and when they are left to PyTorch."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mask2former.ops import winograd
from mask2former.ops.winograd import Conv3x3, conv3x3, takes_winograd

from .test_linear import Operators

pytestmark = pytest.mark.usefixtures('backend')


def left_to_torch(function, *args):
    with Operators() as operators:
        function(*args)
    return 'aten::convolution' in operators.names


def rand(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def compute(x, weight, bias, convolve, dtype):
    """The result and the gradients of all inputs."""
    inputs = [t.detach().to(dtype).requires_grad_() for t in (x, weight, bias)]
    out = convolve(*inputs)
    grad = rand(*out.shape, seed=3).detach()
    return [out.detach(), *torch.autograd.grad(out, inputs, grad.to(dtype))]


def rms(x):
    return x.square().mean().sqrt()


def direct(x, weight, bias=None):
    return F.conv2d(x, weight, bias, padding=1)


# Sides that are and are not multiples of the tile's, several rows and several images at once.
@pytest.mark.parametrize('shape', [(1, 128, 32, 32), (2, 128, 33, 47), (1, 128, 40, 131), (5, 128, 15, 18)])
@pytest.mark.parametrize('channels_last', [False, True])
def test_result_and_gradients_are_those_of_float64(shape, channels_last):
    x, weight, bias = rand(*shape), rand(144, shape[1], 3, 3, seed=1) / 30, rand(144, seed=2)
    if channels_last:
        x, weight = (t.to(memory_format=torch.channels_last) for t in (x, weight))
    assert takes_winograd(x, weight)
    exact = compute(x, weight, bias, direct, torch.float64)
    mine = compute(x, weight, bias, conv3x3, torch.float32)
    for value, truth in zip(mine, exact):
        assert value.shape == truth.shape and value.dtype == torch.float32
        # 2e-7 to 6e-7 of it is what PyTorch's own have, by the layout.
        assert rms(value - truth) <= 1.5e-6 * rms(truth)


def test_points_at_whole_numbers_would_be_less_exact(monkeypatch):
    """The choice of the points is worth its crooked numbers."""
    x, weight = rand(1, 256, 32, 32), rand(256, 256, 3, 3, seed=1)
    exact = direct(x.double(), weight.double())
    error = (conv3x3(x, weight) - exact).abs().max()
    monkeypatch.setattr(winograd, 'POINTS', (0.0, 1.0, -1.0, 2.0, -2.0))
    for name, transform in zip(('INPUTS', 'WEIGHTS', 'OUTPUTS'), winograd._transforms()):
        monkeypatch.setattr(winograd, name, transform)
    whole = (conv3x3(x, weight) - exact).abs().max()
    assert 2 * error < whole < 1e-4 * exact.abs().max()


def test_only_the_gradients_that_are_needed_are_computed():
    x, weight = rand(1, 128, 32, 32), rand(128, 128, 3, 3, seed=1)
    for inputs in ((x.detach(), weight), (x, weight.detach())):
        (needed,) = (t for t in inputs if t.requires_grad)
        (grad,) = torch.autograd.grad(conv3x3(*inputs).sum(), needed)
        (other,) = torch.autograd.grad(direct(*inputs).sum(), needed)
        assert torch.allclose(grad, other, rtol=1e-4, atol=1e-4 * other.abs().max())


@pytest.mark.parametrize('side', [32, 34])
def test_the_result_may_be_changed_in_place(side):
    x, weight = rand(1, 128, side, side), rand(128, 128, 3, 3, seed=1)
    (grad,) = torch.autograd.grad(conv3x3(x, weight).relu_().sum(), weight)
    (other,) = torch.autograd.grad(direct(x, weight).relu().sum(), weight)
    assert rms(grad - other) <= 1e-5 * rms(other)


def test_a_module_is_the_layer_that_it_replaces():
    conv, plain = Conv3x3(128, 192), nn.Conv2d(128, 192, 3, padding=1)
    conv.load_state_dict(plain.state_dict())
    x = rand(1, 128, 40, 36)
    assert not left_to_torch(conv, x)
    assert (conv(x) - plain(x)).abs().max() <= 1e-5


@pytest.mark.parametrize(
    ('x', 'weight'),
    [((1, 128, 31, 32), (128, 128, 3, 3)), ((1, 128, 64, 64), (96, 128, 3, 3)), ((0, 128, 64, 64), (128, 128, 3, 3))],
)
def test_small_convolutions_are_left_to_torch(x, weight):
    x, weight = rand(*x), rand(*weight)
    assert left_to_torch(conv3x3, x, weight)
    assert torch.equal(conv3x3(x, weight), direct(x, weight))


def test_other_types_autocast_and_compilation_are_left_to_torch():
    x, weight = rand(1, 128, 32, 32).detach(), rand(128, 128, 3, 3).detach()
    assert not left_to_torch(conv3x3, x, weight)
    assert torch.equal(conv3x3(x.double(), weight.double()), direct(x.double(), weight.double()))
    with torch.autocast('cpu', torch.bfloat16):
        assert conv3x3(x, weight).dtype == torch.bfloat16
    program = torch.export.export(Conv3x3(128, 128), (x,))
    assert 'conv2d' in program.graph_module.code


def test_nan_and_infinity_are_not_hidden():
    for value in (float('nan'), float('inf')):
        x = rand(1, 128, 32, 32).detach()
        x[0, 5, 9, 9] = value
        assert not conv3x3(x, rand(128, 128, 3, 3).detach())[0, :, 8:11, 8:11].isfinite().any()
