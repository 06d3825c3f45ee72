"""The floor of a step: its operations are counted, those of our own functions, too."""

import pytest
import torch
import torch.nn.functional as F

from benchmarks.floor import OperationCounter, measure_peaks
from benchmarks.profile import Meter
from benchmarks.side_by_side import busy, print_floor
from mask2former.ops import product
from mask2former.ops.linear import linear


def count(function, *inputs):
    with OperationCounter() as counter:
        function(*inputs)
    return counter.total


def train(function, *inputs):
    function(*inputs).sum().backward()


def test_products_and_convolutions_are_counted_forward_and_backward():
    x, weight, kernel = (torch.rand(*shape, requires_grad=True) for shape in ((5, 6), (7, 6), (8, 3, 3, 3)))
    image = torch.rand(1, 3, 10, 10, requires_grad=True)
    for multiply in (linear, F.linear):
        assert count(multiply, x, weight) == 2 * 5 * 6 * 7
        assert count(train, multiply, x, weight) == 3 * 2 * 5 * 6 * 7
    assert count(linear, x, weight, None) == count(lambda: linear(x, weight, add=torch.rand(5, 7)))
    assert count(train, F.conv2d, image, kernel) == 3 * 2 * 8 * 8 * 8 * 27


@pytest.mark.parametrize('fast', [False, True])
def test_batched_products_are_counted(fast, monkeypatch):
    monkeypatch.setattr(product, 'MKL_IS_FAST', fast)
    monkeypatch.setattr(product, 'MAX_SMALL', 0)
    a, b = torch.rand(4, 5, 6), torch.rand(4, 7, 6)
    assert count(product.batched_product, a, b) == 4 * 2 * 5 * 6 * 7
    assert count(product.add_batched_product, torch.zeros(4, 5, 7), a, b) == 4 * 2 * 5 * 6 * 7


def test_attention_is_two_products_and_its_gradient_five():
    q, k, v = (torch.rand(1, 2, n, 4, requires_grad=True) for n in (3, 5, 5))
    forward = 2 * 2 * (2 * 3 * 5 * 4)
    assert count(F.scaled_dot_product_attention, q, k, v) == forward
    assert count(train, F.scaled_dot_product_attention, q, k, v) == forward + 5 * forward // 2


def test_a_meter_gives_each_part_its_own():
    values = iter([3, 5, 6, 10])
    meter = Meter(lambda: next(values))
    for name in 'aba':
        meter.lap(name)
    assert meter.parts == {'a': 2 + 4, 'b': 1}


def test_how_far_above_the_floor_is_printed(capsys, monkeypatch):
    monkeypatch.setattr('benchmarks.floor.SECONDS', 0)
    assert all(peak > 0 for peak in measure_peaks().values())
    print_floor(dict(product=5e9, convolution=2e9, copy=1e9), dict(a=1.0, b=2.0), dict(a=4e9, b=1e9))
    printed = capsys.readouterr().out
    assert 'The floor is 1.000 s; the step takes 3.00 times that.' in printed
    assert '80%' in printed and '33%' in printed


def test_cores_are_busy_no_longer_than_asked():
    with busy(1) as processes:
        assert processes[0].poll() is None
    assert processes[0].poll() is not None
