"""The backends of deformable attention against mmcv's and transformers' functions, also at hostile points."""

import pytest
import torch
from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch
from torch import nn

from mask2former.ops import available_backends, ms_deform_attn
from mask2former.ops.ms_deform_attn import BACKENDS, operators

LEVELS = [(3, 5), (6, 10), (11, 20)]
# The other backends are those of packages that may be installed (test_third_party.py).
BACKEND = pytest.mark.parametrize('backend', ['native', 'grid_sample', 'gather'])


def make_inputs(dtype, levels=LEVELS, batch_size=2, queries=17, heads=4, width=8, points=3):
    generator = torch.Generator().manual_seed(0)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)

    value = rand(batch_size, sum(h * w for h, w in levels), heads, width) - 0.5
    # Some points lie outside of the image.
    locations = rand(batch_size, queries, heads, len(levels), points, 2) * 1.4 - 0.2
    weights = rand(batch_size, queries, heads, len(levels), points)
    return [x.requires_grad_() for x in (value, locations, weights)]


def mmcv_attention(value, levels, locations, weights):
    return multi_scale_deformable_attn_pytorch(value, torch.tensor(levels), locations, weights)


def transformers_attention(value, levels, locations, weights):
    from transformers.models.mask2former.modeling_mask2former import multi_scale_deformable_attention

    return multi_scale_deformable_attention(value, levels, locations, weights)


def output_and_gradients(function, inputs, levels=LEVELS):
    """What a function gives, and its gradients under a gradient of the result that is the same for all functions."""
    out = function(inputs[0], levels, *inputs[1:])
    # Quarters, which every type has.
    grad = (torch.arange(out.numel(), dtype=torch.float64) % 9 - 4).view(out.shape) / 4
    return out, *torch.autograd.grad(out, inputs, grad.to(out.dtype))


def check(backend, inputs, tolerance, levels=LEVELS, peer=mmcv_attention):
    """Compare with a peer that computes in float64 from the same numbers."""
    mine = output_and_gradients(lambda *x: ms_deform_attn(*x, backend=backend), inputs, levels)
    other = output_and_gradients(peer, [x.detach().double().requires_grad_() for x in inputs], levels)
    for x, y, like in zip(mine, other, (inputs[0], *inputs)):
        assert x.shape == y.shape and x.dtype == like.dtype
        assert (x - y).abs().max() <= tolerance * y.abs().max()


def test_these_backends_run_on_every_cpu():
    names = available_backends(torch.zeros(1))
    assert names[0] == 'native' and names[-2:] == ['grid_sample', 'gather']


@BACKEND
@pytest.mark.parametrize('peer', [mmcv_attention, transformers_attention])
# Half precision is rounded once, at the end, from sums in float32.
@pytest.mark.parametrize('dtype, tolerance', [(torch.float32, 3e-6), (torch.float64, 1e-13), (torch.bfloat16, 2**-8)])
def test_value_and_gradients(backend, peer, dtype, tolerance):
    check(backend, make_inputs(dtype), tolerance, peer=peer)


@BACKEND
@pytest.mark.parametrize(
    'levels, sizes',
    [
        ([(1, 1), (1, 1)], dict()),
        ([(1, 7), (5, 1), (1, 1)], dict()),
        ([(6, 9)], dict()),
        (LEVELS, dict(batch_size=3)),
        (LEVELS, dict(batch_size=1, queries=1)),
        (LEVELS, dict(queries=275)),  # as many as there are values
        (LEVELS, dict(heads=1, width=1, points=1)),
    ],
    ids=str,
)
def test_shapes(backend, levels, sizes):
    check(backend, make_inputs(torch.float64, levels, **sizes), 1e-13, levels)


@BACKEND
def test_points_on_every_border_and_far_outside(backend):
    """Sizes are powers of two and points multiples of 1/32, so that all positions are exact and so is their side."""
    levels = [(4, 8), (2, 2), (1, 1)]
    steps = torch.arange(-64, 97, 2, dtype=torch.float64) / 32  # -2 to 3
    points = torch.stack(torch.meshgrid(steps, steps, indexing='xy'), dim=-1).view(1, -1, 1, 1, 1, 2)
    value, _, weights = make_inputs(torch.float64, levels, 1, points.shape[1], heads=2, points=1)
    locations = points.expand(1, -1, 2, 3, 1, 2).clone().requires_grad_()
    check(backend, [value, locations, weights], 1e-13, levels)


@BACKEND
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf'), 1e30, -1e30])
def test_points_that_are_no_positions_spoil_only_what_they_make(backend, dtype, bad):
    inputs = make_inputs(dtype)
    clean = output_and_gradients(lambda *x: ms_deform_attn(*x, backend=backend), inputs)
    with torch.no_grad():
        inputs[1][1, 5, 2, 0, 1, 0] = bad
        inputs[1][1, 5, 2, 2, 0, 1] = bad
    spoilt = output_and_gradients(lambda *x: ms_deform_attn(*x, backend=backend), inputs)

    out, grad_value, grad_locations, grad_weights = (x.clone() for x in spoilt)
    for x, y in (
        (out.unflatten(-1, (4, 8)), clean[0].unflatten(-1, (4, 8))),
        (grad_locations, clean[2]),
        (grad_weights, clean[3]),
    ):
        if bad != bad:
            assert x[1, 5, 2].isnan().any()
        x[1, 5, 2] = y[1, 5, 2]
        assert torch.equal(x, y)
    grad_value[1, :, 2] = clean[1][1, :, 2]  # the values that the head of the point samples
    assert (grad_value - clean[1]).abs().max() <= 1e-6
    if backend == 'native' and bad == bad:  # as good as any other point outside
        assert all(x.isfinite().all() for x in spoilt)


@BACKEND
def test_inputs_that_are_not_contiguous(backend):
    inputs = [
        x.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_() for x in make_inputs(torch.float64)
    ]
    assert not any(x.is_contiguous() for x in inputs)
    check(backend, inputs, 1e-13)


@BACKEND
@pytest.mark.parametrize('half', [torch.bfloat16, torch.float16])
def test_half_precision_values_at_exact_points(backend, half):
    """Under autocast values come in half precision, locations and weights may not."""
    value, locations, weights = make_inputs(torch.float32)
    check(backend, [value.detach().to(half).requires_grad_(), locations, weights], 2**-8)
    check(backend, [value, locations, weights.detach().to(half).requires_grad_()], 2**-8)


@BACKEND
def test_under_autocast(backend):
    inputs = make_inputs(torch.float32)
    with torch.autocast('cpu', torch.bfloat16):
        check(backend, inputs, 3e-6)


@BACKEND
def test_gradients_only_of_what_needs_them(backend):
    inputs = make_inputs(torch.float64)
    full = output_and_gradients(lambda *x: ms_deform_attn(*x, backend=backend), inputs)[1:]
    for i in range(3):
        alone = [y.detach() for y in inputs]
        alone[i].requires_grad_()
        out = ms_deform_attn(alone[0], LEVELS, *alone[1:], backend=backend)
        grad = (torch.arange(out.numel(), dtype=torch.float64) % 9 - 4).view(out.shape) / 4
        out.backward(grad)
        assert [y.grad is None for y in alone] == [j != i for j in range(3)]
        assert torch.allclose(alone[i].grad, full[i], rtol=1e-12, atol=1e-12)


@BACKEND
def test_gradients_are_those_of_finite_differences(backend):
    inputs = make_inputs(torch.float64, batch_size=1, queries=2, heads=1, width=2, points=1)
    assert torch.autograd.gradcheck(lambda *x: ms_deform_attn(x[0], LEVELS, *x[1:], backend=backend), inputs)


def test_backend_that_does_not_exist_or_cannot_run():
    inputs = make_inputs(torch.float32)
    missing = [name for name in BACKENDS if name not in available_backends(inputs[0])]
    for backend in ('cuda', *missing):
        with pytest.raises(ValueError, match=rf"backend '{backend}' cannot run on cpu here: use 'auto' or one of \["):
            ms_deform_attn(inputs[0], LEVELS, *inputs[1:], backend=backend)


@BACKEND
@pytest.mark.parametrize(
    'levels, change',
    [
        ([(3, 5), (6, 10), (11, 19)], {}),
        ([(-3, -5), (6, 10), (11, 20)], {}),
        ([(3, 5), (6, 10)], {}),
        (LEVELS, dict(locations=(2, 17, 5, 3, 3, 2))),
        (LEVELS, dict(locations=(1, 17, 4, 3, 3, 2))),
        (LEVELS, dict(locations=(2, 17, 4, 2, 3, 2), weights=(2, 17, 4, 2, 3))),
        (LEVELS, dict(weights=(2, 17, 4, 3, 2))),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_are_refused(backend, levels, change):
    value, locations, weights = make_inputs(torch.float32)
    locations = torch.zeros(change.get('locations', locations.shape))
    weights = torch.zeros(change.get('weights', weights.shape))
    with pytest.raises(ValueError, match='do not fit'):
        ms_deform_attn(value, levels, locations, weights, backend=backend)


def test_inputs_on_several_devices_are_refused():
    value, locations, weights = make_inputs(torch.float32)
    with pytest.raises(ValueError, match='one device'):
        ms_deform_attn(value, LEVELS, locations.to('meta'), weights)


def flat(levels):
    return [size for shape in levels for size in shape]


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_operator_follows_the_rules_of_operators(dtype):
    inputs = make_inputs(dtype)
    # 'test_autograd_registration', 'test_faketensor' and more; the values of half precision differ by their rounding.
    torch.library.opcheck(operators.attend, (inputs[0], flat(LEVELS), *inputs[1:]), atol=1e-2, rtol=1e-2)
    grad = torch.ones(2, 17, 32, dtype=dtype)
    torch.library.opcheck(
        operators.attend_backward, (grad, inputs[0].detach(), flat(LEVELS), *(x.detach() for x in inputs[1:]))
    )


class Module(nn.Module):
    def __init__(self, backend):
        super().__init__()
        self.backend = backend
        self.scale = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def forward(self, value, locations, weights):
        return self.scale * ms_deform_attn(value, LEVELS, locations * self.scale, weights, backend=self.backend)


@pytest.mark.parametrize('backend', ['auto', 'native', 'grid_sample'])
def test_compile_makes_one_graph_with_the_same_results(backend):
    inputs = make_inputs(torch.float64)
    module = Module(backend)
    expected = output_and_gradients(lambda v, _, *x: module(v, *x), inputs)
    torch._dynamo.reset()
    function = torch.compile(module, fullgraph=True, backend='aot_eager')
    for x, y in zip(output_and_gradients(lambda v, _, *others: function(v, *others), inputs), expected):
        assert torch.allclose(x, y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('backend', ['auto', 'grid_sample'])
def test_export_keeps_the_operator_as_one_node(backend):
    inputs = [x.detach() for x in make_inputs(torch.float64)]
    module = Module(backend)
    program = torch.export.export(module, tuple(inputs))
    targets = [str(node.target) for node in program.graph.nodes]
    assert targets.count('mask2former.ms_deform_attn.default') == (backend == 'auto')
    assert torch.allclose(program.module()(*inputs), module(*inputs), rtol=1e-12, atol=1e-12)
