"""The adapters to other packages: what they hand over, against stand-ins, and the real ones where installed."""

import inspect
import subprocess
import sys
from types import ModuleType

import pytest
import torch
from mmcv.ops import multi_scale_deform_attn as mmcv_module

from mask2former.ops.ms_deform_attn import third_party
from mask2former.ops.ms_deform_attn.level_tables import level_tables

LEVELS = [(3, 5), (6, 9)]
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 4e-2}
DTYPES = pytest.mark.parametrize('dtype', TOLERANCES, ids=str)


def make_inputs(dtype, batch_size=2, device='cpu'):
    """Values of a type, and locations and weights in float32 as under autocast, but for float64."""
    generator = torch.Generator().manual_seed(0)
    kind = torch.float64 if dtype == torch.float64 else torch.float32
    shapes = [(batch_size, 69, 2, 16), (batch_size, 7, 2, 2, 3, 2), (batch_size, 7, 2, 2, 3)]
    value, locations, weights = (torch.rand(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    inputs = [(value - 0.5).to(dtype), (locations * 1.3 - 0.15).to(kind), weights.to(kind)]
    # Not contiguous, which kernels do not take.
    inputs = [x.transpose(0, 1).contiguous().transpose(0, 1).to(device) for x in inputs]
    return [x.requires_grad_() for x in inputs]


def reference(value, shapes, locations, weights):
    return mmcv_module.multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)


def check(adapter, inputs, dtype):
    out = adapter(inputs[0], LEVELS, *inputs[1:])
    assert out.dtype == dtype
    grad = torch.linspace(-1, 1, out.numel(), dtype=torch.float64, device=out.device).view(out.shape)
    exact = [x.detach().double().requires_grad_() for x in inputs]
    exact_out = reference(exact[0], torch.tensor(LEVELS), *exact[1:])
    mine = [out, *torch.autograd.grad(out, inputs, grad.to(dtype))]
    other = [exact_out, *torch.autograd.grad(exact_out, exact, grad)]
    for x, y, like in zip(mine, other, (inputs[0], *inputs)):
        assert x.shape == y.shape and x.dtype == like.dtype
        assert (x - y).abs().max() <= TOLERANCES[dtype] * y.abs().max()


def check_tables(shapes, starts):
    assert shapes.dtype == starts.dtype == torch.int64
    assert shapes.tolist() == [[3, 5], [6, 9]] and starts.tolist() == [0, 15]


class MmcvExtension:
    """Stands in for ``mmcv._ext``: takes what mmcv's own code gives it, and insists on what its C++ code asserts."""

    def __init__(self):
        self.steps = []

    def check(self, value, shapes, starts, locations, weights, im2col_step):
        check_tables(shapes, starts)
        assert value.dtype == locations.dtype == weights.dtype and value.dtype in (torch.float32, torch.float64)
        assert all(x.is_contiguous() for x in (value, shapes, starts, locations, weights))
        assert value.shape[0] % min(value.shape[0], im2col_step) == 0
        self.steps.append(im2col_step)

    def ms_deform_attn_forward(self, value, shapes, starts, locations, weights, im2col_step):
        self.check(value, shapes, starts, locations, weights, im2col_step)
        return reference(value, shapes, locations, weights)

    def ms_deform_attn_backward(
        self, value, shapes, starts, locations, weights, grad_out, grad_value, grad_locations, grad_weights, im2col_step
    ):
        self.check(value, shapes, starts, locations, weights, im2col_step)
        with torch.enable_grad():
            leaves = [x.detach().requires_grad_() for x in (value, locations, weights)]
            grads = torch.autograd.grad(reference(leaves[0], shapes, *leaves[1:]), leaves, grad_out)
        for out, grad in zip((grad_value, grad_locations, grad_weights), grads):
            out.copy_(grad)


@pytest.fixture
def mmcv_extension(monkeypatch):
    extension = MmcvExtension()
    monkeypatch.setattr(mmcv_module, 'ext_module', extension)
    return extension


@DTYPES
def test_mmcv(mmcv_extension, dtype):
    check(third_party.ms_deform_attn_mmcv, make_inputs(dtype), dtype)
    assert mmcv_extension.steps == [2, 2]


@pytest.mark.parametrize('batch_size, step', [(1, 1), (64, 64), (65, 13), (67, 1), (96, 48)])
def test_mmcv_works_off_any_batch(mmcv_extension, batch_size, step):
    value, locations, weights = make_inputs(torch.float32, batch_size)
    third_party.ms_deform_attn_mmcv(value, LEVELS, locations, weights)
    assert mmcv_extension.steps == [step]


def test_mmcv_takes_the_arguments_in_the_order_that_the_adapter_gives_them():
    names = list(inspect.signature(mmcv_module.MultiScaleDeformableAttnFunction.forward).parameters)
    assert names == [
        'ctx',
        'value',
        'value_spatial_shapes',
        'value_level_start_index',
        'sampling_locations',
        'attention_weights',
        'im2col_step',
    ]


@DTYPES
def test_torch_ms_deform_attn(monkeypatch, dtype):
    """Against a function with the signature and the demands of release 0.1.1."""

    def ms_deform_attn(
        value,
        spatial_shapes,
        level_start_index,
        sampling_locations,
        attention_weights,
        im2col_step=64,
        *,
        check_cuda_metadata=False,
    ):
        check_tables(spatial_shapes, level_start_index)
        assert value.dtype == sampling_locations.dtype == attention_weights.dtype
        return reference(value, spatial_shapes, sampling_locations, attention_weights)

    module = ModuleType('torch_ms_deform_attn')
    module.ms_deform_attn = ms_deform_attn
    monkeypatch.setitem(sys.modules, 'torch_ms_deform_attn', module)
    check(third_party.ms_deform_attn_torch_ms_deform_attn, make_inputs(dtype), dtype)


@DTYPES
def test_deformops(monkeypatch, dtype):
    """Against a function with the signature and the demands of release 3.0.1."""

    def msda(
        value,
        spatial_shapes,
        level_start_index,
        sampling_locations,
        attention_weights,
        /,
        *,
        method=None,
        softmax=False,
        chunk_step=128,
        backend=None,
    ):
        check_tables(spatial_shapes, level_start_index)
        assert value.dtype == attention_weights.dtype and method is None and not softmax
        exact = [x.double() for x in (value, sampling_locations, attention_weights)]
        return reference(exact[0], spatial_shapes, *exact[1:])

    registry = ModuleType('deformops.registry')
    registry.msda = msda
    monkeypatch.setitem(sys.modules, 'deformops', ModuleType('deformops'))
    monkeypatch.setitem(sys.modules, 'deformops.registry', registry)
    check(third_party.ms_deform_attn_deformops, make_inputs(dtype), dtype)


REAL = {
    'mmcv': (third_party.can_run_mmcv, third_party.ms_deform_attn_mmcv),
    'torch_ms_deform_attn': (third_party.can_run_torch_ms_deform_attn, third_party.ms_deform_attn_torch_ms_deform_attn),
    'deformops': (third_party.can_run_deformops, third_party.ms_deform_attn_deformops),
}


@DTYPES
@pytest.mark.parametrize('device', ['cpu', 'cuda'])
@pytest.mark.parametrize('name', REAL)
def test_the_real_one(name, device, dtype):
    if device == 'cuda' and not torch.cuda.is_available():
        pytest.skip('no CUDA device')
    can_run, adapter = REAL[name]
    inputs = make_inputs(dtype, device=device)
    if not can_run(inputs[0]):
        pytest.skip(f'{name} is not installed for {dtype} on {device}')
    check(adapter, inputs, dtype)


def test_nothing_is_claimed_that_is_not_there():
    """Without the packages, with broken ones in their place, and with the placeholder of mmcv's extension."""
    code = """
import sys, types
import mask2former
from types import SimpleNamespace
from mask2former.ops.ms_deform_attn import third_party

for device in ('cpu', 'cuda', 'mps'):
    value = SimpleNamespace(device=SimpleNamespace(type=device), is_cuda=device == 'cuda', dtype=None)
    sys.modules['torch_ms_deform_attn'] = types.ModuleType('torch_ms_deform_attn')
    third_party.importlib.util.find_spec = lambda name: None
    assert not third_party.can_run_torch_ms_deform_attn(value)
    assert not third_party.can_run_deformops(value)
    if isinstance(sys.modules.get('mmcv._ext'), mask2former.compat._MissingExtension):
        assert not third_party.can_run_mmcv(value)
"""
    process = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


def test_level_tables_are_kept_and_serve_a_training_after_inference():
    with torch.inference_mode():
        shapes, starts = level_tables([(2, 3), (7, 1)], torch.device('cpu'))
    assert not shapes.is_inference() and not starts.is_inference()
    assert level_tables([(2, 3), (7, 1)], torch.device('cpu'))[0] is shapes
    assert shapes.tolist() == [[2, 3], [7, 1]] and starts.tolist() == [0, 6]
