"""Linear maps through oneDNN and MKL against PyTorch's own in float64, and when they are left to PyTorch."""

import pytest
import torch
import torch.nn.functional as F
from functorch.compile import make_boxed_func
from mmcv.cnn import Linear as MmcvLinear
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch.utils._python_dispatch import TorchDispatchMode

from mask2former.ops.linear import Linear, PointwiseConv, linear, pointwise_conv, products, traced_linear, use_onednn

pytestmark = pytest.mark.usefixtures('backend')
BOOL = (False, True)


class Operators(TorchDispatchMode):
    """Notes the names of the operators that run."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


def takes_onednn(function, *args):
    with Operators() as operators:
        function(*args)
    return any('mkldnn::_linear_pointwise' in name for name in operators.names)


def rand(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def check(function, reference, inputs, tolerance=2e-6):
    """Compare the result and the gradients of all inputs with those that the reference has in float64."""
    exact = [x.detach().double().requires_grad_() for x in inputs]
    copies = [x.detach().clone() for x in inputs]
    out, exact_out = function(*inputs), reference(*exact)
    grad = rand(*out.shape, seed=9, dtype=torch.float64).detach()
    mine = [out, *torch.autograd.grad(out, inputs, grad.to(out.dtype))]
    other = [exact_out, *torch.autograd.grad(exact_out, exact, grad)]
    for x, y in zip(mine, other):
        assert x.shape == y.shape and x.dtype == inputs[0].dtype
        assert (x - y).abs().max() <= tolerance * y.abs().max()
    assert all(torch.equal(x, y) for x, y in zip(inputs, copies)), 'an input was overwritten'


def reference_linear(x, weight, bias=None, add=None, relu=False):
    out = F.linear(x, weight, bias)
    out = out if add is None else out + add
    return out.relu() if relu else out


@pytest.mark.parametrize('relu', BOOL)
@pytest.mark.parametrize('add', BOOL)
@pytest.mark.parametrize('bias', BOOL)
@pytest.mark.parametrize('leading', [(5,), (2, 7), (2, 3, 4), ()], ids=str)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64], ids=str)
def test_linear(dtype, leading, bias, add, relu, backend):
    names = ['bias'] * bias + ['add'] * add
    extra = dict(bias=rand(6, dtype=dtype, seed=2), add=rand(*leading, 6, dtype=dtype, seed=3))
    inputs = [rand(*leading, 9, dtype=dtype), rand(6, 9, dtype=dtype, seed=1), *(extra[name] for name in names)]
    check(
        lambda x, weight, *rest: linear(x, weight, relu=relu, **dict(zip(names, rest))),
        lambda x, weight, *rest: reference_linear(x, weight, relu=relu, **dict(zip(names, rest))),
        inputs,
        2e-6 if dtype == torch.float32 else 1e-14,
    )
    assert takes_onednn(lambda: linear(*inputs[:2])) == (dtype == torch.float32 and backend == 'onednn')


@pytest.mark.parametrize('shape', [(6, 9), (9, 6), (1, 9), (9, 1)], ids=str)
def test_linear_of_other_layouts(shape):
    """Transposed, sliced and expanded matrices, and an expanded gradient."""
    x = rand(3, shape[1], 10).detach().transpose(1, 2)[:, ::2].requires_grad_()  # (3, 5, in), not contiguous
    weight = rand(shape[1], shape[0], seed=1).detach().T.requires_grad_()
    add = rand(1, 1, shape[0], seed=2).detach().expand(3, 5, -1).requires_grad_()
    check(
        lambda x, weight, add: linear(x, weight, add=add),
        lambda x, weight, add: F.linear(x, weight) + add,
        [x, weight, add],
    )
    grads = torch.autograd.grad(linear(x, weight).sum(), [x, weight])
    for mine, other in zip(grads, torch.autograd.grad(F.linear(x, weight).sum(), [x, weight])):
        assert torch.allclose(mine, other, rtol=1e-5, atol=1e-5)


class SecondMatrices(TorchDispatchMode):
    """Notes whether the second matrices that oneDNN multiplies by have their numbers side by side."""

    def __init__(self):
        super().__init__()
        self.packed = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.name().startswith('mkldnn::_linear_pointwise'):
            b = args[2 if 'binary' in func.name() else 1]
            self.packed.append(b.is_contiguous() or b.t().is_contiguous())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('add', BOOL)
@pytest.mark.parametrize('layout', ['rows', 'columns', 'every other', 'one for all'])
def test_no_matrix_with_gaps_is_multiplied_by(layout, add, backend):
    """oneDNN takes its reference code for such a one, 500 times as slow."""
    weight = {
        'rows': lambda: torch.randn(6, 32)[:, 8:16],
        'columns': lambda: torch.randn(8, 24).t()[:6],
        'every other': lambda: torch.randn(6, 16)[:, ::2],
        'one for all': lambda: torch.randn(1, 8).expand(6, 8),
    }[layout]()
    x, weight = torch.randn(5, 4, 8)[:, 1].requires_grad_(), weight.detach().requires_grad_()
    other = torch.randn(5, 6) if add else None
    with SecondMatrices() as seen:
        out = linear(x, weight, add=other)
        out.backward(torch.randn(5, 3, 6)[:, 0])
    assert len(seen.packed) == (3 if backend == 'onednn' else 0) and all(seen.packed)
    expected = F.linear(x.double(), weight.double()) + (0 if other is None else other)
    torch.testing.assert_close(out.double(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('stride', [1, 2, 3])
@pytest.mark.parametrize('memory_format', [torch.channels_last, torch.contiguous_format], ids=str)
@pytest.mark.parametrize('bias, add, relu', [(True, False, False), (False, False, True), (True, True, True)])
def test_pointwise_conv(stride, memory_format, bias, add, relu, backend):
    H, W = (7 - 1) // stride + 1, (10 - 1) // stride + 1
    names = ['bias'] * bias + ['add'] * add
    extra = dict(bias=rand(6, seed=2), add=rand(2, 6, H, W, seed=3))
    x = rand(2, 9, 7, 10).detach().to(memory_format=memory_format).requires_grad_()

    def reference(x, weight, bias=None, add=None):
        out = F.conv2d(x, weight, bias, stride)
        out = out if add is None else out + add
        return out.relu() if relu else out

    check(
        lambda x, weight, *rest: pointwise_conv(x, weight, stride=stride, relu=relu, **dict(zip(names, rest))),
        lambda x, weight, *rest: reference(x, weight, **dict(zip(names, rest))),
        [x, rand(6, 9, 1, 1, seed=1), *(extra[name] for name in names)],
    )
    out = pointwise_conv(x, rand(6, 9, 1, 1, seed=1), stride=stride)
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert takes_onednn(lambda: pointwise_conv(x, rand(6, 9, 1, 1), stride=stride)) == (backend == 'onednn')


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64], ids=str)
def test_products(dtype):
    check(products, lambda a, b: a @ b.transpose(1, 2), [rand(3, 4, 8, dtype=dtype), rand(3, 5, 8, dtype=dtype)])
    features = rand(3, 8, 5, dtype=dtype).detach().transpose(1, 2).requires_grad_()
    check(products, lambda a, b: a @ b.transpose(1, 2), [rand(3, 4, 8, dtype=dtype), features])


@pytest.mark.parametrize('bias', BOOL)
def test_modules_hold_the_weights_of_their_parents(bias, backend):
    for mine, parent, x in (
        (Linear(9, 6, bias=bias), nn.Linear(9, 6, bias=bias), rand(2, 5, 9)),
        (PointwiseConv(9, 6, bias=bias), nn.Conv2d(9, 6, 1, bias=bias), rand(2, 9, 4, 5)),
    ):
        mine.load_state_dict(parent.state_dict(), strict=True)
        assert torch.allclose(mine(x), parent(x), rtol=1e-5, atol=1e-6)
        assert takes_onednn(mine, x) == (backend == 'onednn') and not takes_onednn(parent, x)
    layer = Linear(9, 6)
    assert torch.equal(layer(rand(2, 9), relu=True), layer(rand(2, 9)).relu())


def test_what_does_not_fit_is_refused_as_by_pytorch():
    x, weight = rand(2, 3, 9), rand(6, 9)
    with pytest.raises(RuntimeError, match='must match|expanded size'):
        linear(x, weight, add=rand(3, 2, 6))
    with pytest.raises(RuntimeError, match='dtype'):
        linear(x, rand(6, 9, dtype=torch.float64))
    assert torch.equal(linear(x, weight, add=rand(6)), linear(x, weight) + rand(6))


def test_no_rows_or_columns():
    for x, weight in (
        (rand(0, 9), rand(6, 9)),
        (rand(2, 0, 9), rand(6, 9)),
        (rand(3, 9), rand(0, 9)),
        (rand(3, 0), rand(6, 0)),
    ):
        out = linear(x, weight, relu=True)
        assert torch.equal(out, F.linear(x, weight).relu())
        out.sum().backward()
        assert not x.grad.any() and not weight.grad.any()
    assert products(rand(2, 0, 4), rand(2, 3, 4)).shape == (2, 0, 3)
    assert products(rand(0, 5, 4), rand(0, 3, 4)).shape == (0, 5, 3)


def test_gradients_only_of_what_needs_them():
    names = ('x', 'weight', 'bias', 'add')
    tensors = dict(x=rand(5, 9), weight=rand(6, 9, seed=1), bias=rand(6, seed=2), add=rand(5, 6, seed=3))
    out = linear(**tensors, relu=True)
    full = dict(zip(names, torch.autograd.grad(out.sum(), list(tensors.values()))))
    for chosen in (('x',), ('weight',), ('bias',), ('add',), ('x', 'bias'), ('weight', 'add')):
        some = {name: tensor.detach().requires_grad_(name in chosen) for name, tensor in tensors.items()}
        linear(**some, relu=True).sum().backward()
        for name, tensor in some.items():
            assert (tensor.grad is not None) == (name in chosen)
            assert name not in chosen or torch.equal(tensor.grad, full[name])
    frozen = {name: tensor.detach() for name, tensor in tensors.items()}
    assert not linear(**frozen).requires_grad


def test_gradient_of_a_gradient_is_refused():
    x, weight = rand(5, 9), rand(6, 9)
    (grad,) = torch.autograd.grad(linear(x, weight).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match='once_differentiable'):
        grad.sum().backward()


def test_autocast_is_left_to_pytorch():
    x, weight = rand(5, 9), rand(6, 9)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(linear(x, weight), F.linear(x, weight))
        assert linear(x, weight).dtype == torch.bfloat16
        assert not takes_onednn(linear, x, weight)
        assert products(x[None], weight[None]).dtype == torch.bfloat16
        image, kernel = rand(2, 9, 4, 5), rand(6, 9, 1, 1)
        assert pointwise_conv(image, kernel, relu=True).dtype == torch.bfloat16


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.linear = PointwiseConv(9, 6), Linear(6, 4)

    def forward(self, x):
        x = self.conv(x).flatten(2).transpose(1, 2)
        return products(self.linear(x, relu=True), x[..., :4])


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64], ids=str)
def test_compile_keeps_our_operator(dtype):
    torch.manual_seed(0)
    net, x = Net().to(dtype), rand(2, 9, 4, 5, dtype=dtype)
    expected = net(x)
    torch._dynamo.reset()
    graphs = []
    backend = aot_autograd(fw_compiler=lambda graph, _: graphs.append(graph) or make_boxed_func(graph.forward))
    out = torch.compile(net, fullgraph=True, backend=backend)(x)
    assert torch.allclose(out, expected, rtol=1e-5, atol=1e-6)
    mine, other = (torch.autograd.grad(y.square().sum(), [x, *net.parameters()]) for y in (out, expected))
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(mine, other))
    names = [str(node.target) for node in graphs[0].graph.nodes]
    assert names.count('mask2former.linear.default') == (2 if dtype == torch.float32 else 0)


def test_traced_operator_follows_the_rules_of_operators():
    x, weight, bias, add = rand(5, 9), rand(6, 9, seed=1), rand(6, seed=2), rand(5, 6, seed=3)
    empty = rand(0, 9)
    for inputs in ((x, weight, bias, add, True), (x, weight, None, None, False), (empty, weight, bias, None, True)):
        torch.library.opcheck(traced_linear, inputs)
    check(lambda *x: traced_linear(*x, True), lambda *x: reference_linear(*x, relu=True), [x, weight, bias, add])


def test_export_has_ordinary_operators():
    torch.manual_seed(0)
    net, x = Net(), rand(2, 9, 4, 5).detach()
    program = torch.export.export(net, (x,))
    assert torch.allclose(program.module()(x), net(x), rtol=1e-5, atol=1e-6)
    assert not any(kind in str(node.target) for node in program.graph.nodes for kind in ('mkldnn', 'mask2former'))


def test_use_onednn_changes_plain_linear_layers_only():

    class Other(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(9, 8), MmcvLinear(8, 8), Other(8, 8), nn.Sequential(nn.Linear(8, 7, bias=False)))
    net.append(nn.MultiheadAttention(7, 1))
    calls = []
    net[0].register_forward_hook(lambda *args: calls.append(1))
    x = rand(5, 9)
    expected, state = net[:4](x), {name: (value, value.data_ptr()) for name, value in net.state_dict().items()}
    assert use_onednn(net) is net
    assert [type(layer) for layer in net[:4]] == [Linear, Linear, Other, nn.Sequential] and type(net[3][0]) is Linear
    assert type(net[4].out_proj) is type(nn.MultiheadAttention(7, 1).out_proj)
    assert torch.allclose(net[:4](x), expected, rtol=1e-5, atol=1e-6)
    assert calls == [1, 1]
    assert {name: (value, value.data_ptr()) for name, value in net.state_dict().items()}.keys() == state.keys()
    assert all(value.data_ptr() == state[name][1] for name, value in net.state_dict().items())
