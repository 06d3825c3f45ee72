"""The Triton kernel against grid_sample and mmcv's implementation: on the CPU in Triton's interpreter, and on a GPU."""

import json
import math
import subprocess
import sys
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

from mask2former.ops.ms_deform_attn import triton

from .triton_process import Interpreter

LEVELS = [(3, 5), (6, 9)]
TOLERANCES = {torch.float64: 1e-13, torch.float32: 3e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}

needs_triton = pytest.mark.skipif(
    not triton.is_available(), reason='Triton is not installed (it has wheels for Linux only)'
)


@pytest.fixture(scope='module')
def interpreter():
    interpreter = Interpreter()
    yield interpreter
    interpreter.close()


@pytest.fixture(params=['cpu', 'cuda'])
def kernel(request):
    """Calls ``forward``, ``backward`` or ``tune`` on a device; takes and gives CPU tensors."""
    if not triton.is_available():
        pytest.skip('Triton is not installed (it has wheels for Linux only)')
    if request.param == 'cpu':
        return request.getfixturevalue('interpreter').call
    if not torch.cuda.is_available():
        pytest.skip('no CUDA device')

    def call(name, *arguments):
        arguments = [x.cuda() if isinstance(x, torch.Tensor) else x for x in arguments]
        result = getattr(triton, name)(*arguments)
        if name == 'tune':
            return result
        return result.cpu() if name == 'forward' else tuple(x.cpu() for x in result)

    return call


def make_inputs(levels=LEVELS, batch_size=2, queries=11, heads=2, width=16, points=2):
    """value, locations, weights and the gradient of the result, in float64; a quarter of the points lies outside."""
    generator = torch.Generator().manual_seed(0)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    value = rand(batch_size, sum(h * w for h, w in levels), heads, width) - 0.5
    locations = rand(batch_size, queries, heads, len(levels), points, 2) * 1.3 - 0.15
    weights = rand(batch_size, queries, heads, len(levels), points)
    return value, locations, weights, rand(batch_size, queries, heads * width) - 0.5


def by_grid_sample(value, levels, locations, weights):
    """The operation as its definition reads: a loop over images, heads and levels."""
    B, _, M, Cm = value.shape
    result = []
    for b in range(B):
        for m in range(M):
            total, start = 0, 0
            for i, (h, w) in enumerate(levels):
                level = value[b, start : start + h * w, m].T.reshape(1, Cm, h, w)
                grid = 2 * locations[None, b, :, m, i] - 1  # (1, Q, R, 2)
                samples = F.grid_sample(level, grid, align_corners=False)[0]  # (C/M, Q, R)
                total = total + (samples * weights[b, :, m, i]).sum(-1)
                start += h * w
            result.append(total.T)  # (Q, C/M)
    return torch.stack(result).view(B, M, -1, Cm).transpose(1, 2).flatten(2)


def by_mmcv(value, levels, locations, weights):
    return multi_scale_deformable_attn_pytorch(value, torch.tensor(levels), locations, weights)


def expected_results(peer, value, levels, locations, weights, grad):
    """The result and the three gradients, in float64."""
    leaves = [x.double().requires_grad_() for x in (value, locations, weights)]
    out = peer(leaves[0], levels, *leaves[1:])
    return [out.detach(), *torch.autograd.grad(out, leaves, grad.double())]


def check(kernel, expected, value, levels, locations, weights, grad, tolerance):
    """Compare the kernel's result and gradients with ``expected``, each relative to the largest number in it."""
    results = [
        kernel('forward', value, levels, locations, weights),
        *kernel('backward', grad, value, levels, locations, weights),
    ]
    for mine, other, like in zip(results, expected, (value, value, locations, weights)):
        assert mine.dtype == like.dtype and mine.shape == other.shape
        assert (mine - other).abs().max() <= tolerance * other.abs().max()


def check_against(peer, kernel, *arguments):
    check(kernel, expected_results(peer, *arguments[:-1]), *arguments)


@pytest.mark.parametrize('dtype', TOLERANCES, ids=str)
@pytest.mark.parametrize('peer', [by_grid_sample, by_mmcv])
def test_value_and_gradients(kernel, peer, dtype):
    value, locations, weights, grad = (x.to(dtype) for x in make_inputs())
    check_against(peer, kernel, value, LEVELS, locations, weights, grad, TOLERANCES[dtype])


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_values_with_exact_locations(kernel, dtype):
    """As under autocast; the gradients that are float32 have the precision of float32."""
    value, locations, weights, grad = make_inputs()
    value, grad = value.to(dtype), grad.to(dtype)
    locations, weights = locations.float(), weights.float()
    expected = expected_results(by_grid_sample, value, LEVELS, locations, weights, grad)
    check(kernel, expected, value, LEVELS, locations, weights, grad, TOLERANCES[dtype])
    exact = kernel('backward', grad, value, LEVELS, locations, weights)[1:]
    for mine, other in zip(exact, expected[2:]):
        assert (mine - other).abs().max() <= TOLERANCES[torch.float32] * other.abs().max()


def test_many_samples_of_a_cell_add_up_in_half_precision(kernel):
    """300 ones; a sum in bfloat16 ends at 256."""
    value = torch.zeros(1, 1, 1, 16, dtype=torch.bfloat16)
    locations, weights = torch.full((1, 300, 1, 1, 1, 2), 0.5), torch.ones(1, 300, 1, 1, 1)
    grad = torch.ones(1, 300, 16, dtype=torch.bfloat16)
    grad_value, _, _ = kernel('backward', grad, value, [(1, 1)], locations, weights)
    assert (grad_value == 300).all()


@pytest.mark.parametrize(
    'changes',
    [
        dict(width=24),
        dict(width=32),
        dict(width=8, heads=3),
        dict(width=3, queries=5),
        dict(queries=1, batch_size=1),
        dict(queries=67),
        dict(levels=[(1, 7), (4, 1), (1, 1), (2, 3)], points=3),
        dict(heads=1, points=1, levels=[(5, 4)]),
    ],
    ids=str,
)
def test_sizes(kernel, changes):
    value, locations, weights, grad = (x.float() for x in make_inputs(**changes))
    check_against(by_grid_sample, kernel, value, changes.get('levels', LEVELS), locations, weights, grad, 1e-5)


def test_points_on_borders_and_on_cells(kernel):
    """All pairs of multiples of half a cell, from outside to outside: corners of the level, its borders, its cells."""
    levels = [(4, 8)]
    x, y = (torch.arange(-4, 2 * n + 5) / (2 * n) for n in (8, 4))  # exact in float32
    locations = torch.stack(torch.meshgrid(x, y, indexing='xy'), dim=-1).view(1, -1, 1, 1, 1, 2)
    value, _, weights, grad = (x.float() for x in make_inputs(levels, 1, locations.shape[1], 1, 16, 1))
    check_against(by_grid_sample, kernel, value, levels, locations, weights, grad, TOLERANCES[torch.float32])


def test_inputs_need_not_be_contiguous(kernel):
    value, locations, weights, grad = (x.float() for x in make_inputs())
    check_against(
        by_grid_sample,
        kernel,
        *(
            x if x is LEVELS else x.transpose(0, 1).contiguous().transpose(0, 1)
            for x in (value, LEVELS, locations, weights, grad)
        ),
        TOLERANCES[torch.float32],
    )


@pytest.mark.parametrize('dtype', TOLERANCES, ids=str)
def test_locations_that_are_no_positions(kernel, dtype):
    """NaN, infinity and what no integer holds count as outside."""
    value, locations, weights, grad = (x.to(dtype) for x in make_inputs())
    bad = [math.nan, math.inf, -math.inf, 1e30, -1e30, 3e9, -3e9]
    for i, number in enumerate(bad):
        locations[0, i, 0, 0, 0, i % 2] = number
    outside = locations.clone()
    for i in range(len(bad)):
        outside[0, i, 0, 0, 0] = -2
    expected = expected_results(by_grid_sample, value, LEVELS, outside, weights, grad)
    assert all(x.isfinite().all() for x in expected)
    check(kernel, expected, value, LEVELS, locations, weights, grad, TOLERANCES[dtype])


@pytest.mark.parametrize('batch_size, queries', [(0, 3), (2, 0)])
def test_nothing_to_do(kernel, batch_size, queries):
    value, locations, weights, grad = (x.float() for x in make_inputs(batch_size=batch_size, queries=queries))
    assert kernel('forward', value, LEVELS, locations, weights).shape == (batch_size, queries, 32)
    results = kernel('backward', grad, value, LEVELS, locations, weights)
    for result, like in zip(results, (value, locations, weights)):
        assert result.shape == like.shape and not result.any()


def test_tune(kernel, tmp_path):
    """All launches give the same values; what was measured is in the file, and counts for images of other sizes."""
    sizes = dict(levels=[(3, 5)], heads=1, points=1)
    value, locations, weights, grad = (x.float() for x in make_inputs(**sizes))
    arguments = value, sizes['levels'], locations, weights
    expected = expected_results(by_grid_sample, *arguments, grad)
    cache = tmp_path / 'launches.json'
    measured = kernel('tune', *arguments, str(cache), 1)
    assert list(measured) == ['forward_kernel', 'backward_kernel']
    for launches in list(zip(*measured.values()))[::5]:
        launch = dict(zip(('forward', 'backward'), map(tuple, launches)))
        launched = partial(lambda launch, name, *x: kernel(name, *x, launch[name]), launch)
        check(launched, expected, *arguments, grad, TOLERANCES[torch.float32])
    for times, kept in zip(measured.values(), json.loads(cache.read_text()).values()):
        assert len(times) > 4 and list(times.values()) == sorted(times.values()) and list(times)[0] == tuple(kept)
    value, locations, weights, grad = (x.float() for x in make_inputs(**sizes, queries=40))
    assert kernel('tune', value, sizes['levels'], locations, weights, str(cache)) == {}
    check_against(by_grid_sample, kernel, value, sizes['levels'], locations, weights, grad, TOLERANCES[torch.float32])


COMPILE = """
import re
import sys
import triton.language as tl
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from mask2former.ops.ms_deform_attn import triton_kernels

architecture, kind = int(sys.argv[1]), sys.argv[2]
for name, warps in (('forward_kernel', 4), ('backward_kernel', 1)):
    kernel = getattr(triton_kernels, name)
    constants = dict(M=2, L=2, R=2, D=32, BLOCK_QUERIES=8 * warps, BLOCK_CHANNELS=32, KIND=tl.float32)
    types = dict(S='i32', Q='i32', shapes='*i64', starts='*i64', value='*' + kind, out='*' + kind, grad_out='*' + kind)
    signature = {x: 'constexpr' if x in constants else types.get(x, '*fp32') for x in kernel.arg_names}
    positions = {x: (i,) for i, x in enumerate(kernel.arg_names)}
    source = ASTSource(kernel, signature, {positions[x]: constants[x] for x in constants},
                       {positions[x]: [['tt.divisibility', 16]] for x in signature if signature[x][0] == '*'})
    compiled = compile(source, target=GPUTarget('cuda', architecture, 32), options=dict(num_warps=warps))
    assert compiled.asm['cubin'] and compiled.metadata.shared == 0 and 'bar.sync' not in compiled.asm['ptx']
    # No tile moves from thread to thread.
    assert not re.search(r'convert_layout.*tensor<[0-9]+x[0-9]+x', compiled.asm['ttgir'])
    varying = [x for x in kernel.params if not x.is_constexpr and signature[x.name][0] != '*']
    assert [x.name for x in varying] == ['S', 'Q'] and all(x.do_not_specialize for x in varying)
"""


@needs_triton
@pytest.mark.parametrize('architecture, kind', [(80, 'fp32'), (90, 'bf16')])
def test_compiles_for_gpus(architecture, kind, tmp_path, monkeypatch):
    """For A100 and H100, which the interpreter does not tell: without shared memory or barriers, and for all sizes."""
    monkeypatch.setenv('TRITON_CACHE_DIR', str(tmp_path))
    monkeypatch.setenv('TRITON_INTERPRET', '0')
    process = subprocess.run([sys.executable, '-c', COMPILE, str(architecture), kind], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


def test_triton_is_imported_at_the_first_call_only():
    code = (
        'import sys; from mask2former.ops.ms_deform_attn.triton import is_available; is_available(); '
        "assert 'triton' not in sys.modules"
    )
    process = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
