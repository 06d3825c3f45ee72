"""Adapters to other packages' multi-scale deformable attention, where they are installed.

Each has the signature of ``ms_deform_attn`` and a ``can_run_...`` beside it, which looks at what is installed once and
never raises. None of the packages is needed: ``mmcv`` (the full one), ``torch-ms-deform-attn``, ``deformops``. Those
that want one type get all in float32 or float64: half precision would put a sample of a level of 128 cells half a cell
(bfloat16) beside where it belongs.
"""

import importlib.util
from functools import cache

import torch
from torch import Tensor

from mask2former.compat import provide_mmcv_ext
from mask2former.ops.precision import full_precision

from .level_tables import level_tables
from .triton import is_available as has_triton


def _full_and_contiguous(*tensors: Tensor) -> list[Tensor]:
    return [x.contiguous() for x in full_precision(*tensors)]


@cache
def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@cache
def _mmcv_has_cuda() -> bool:
    if provide_mmcv_ext():
        return False
    try:
        from mmcv.ops import get_compiling_cuda_version

        return get_compiling_cuda_version() != 'not available'
    except Exception:  # a build for another PyTorch fails in ways of its own
        return False


def can_run_mmcv(value: Tensor) -> bool:
    """Whether full mmcv is installed and ``value`` is on a GPU, the only place where its operator runs."""
    return value.is_cuda and _mmcv_has_cuda()


def ms_deform_attn_mmcv(
    value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """``ms_deform_attn`` by full mmcv's CUDA operator, in float32 (float64 for float64 values)."""
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

    # It works off the batch in steps, which must divide it.
    step = max(x for x in range(1, 65) if len(value) % x == 0)
    tables = level_tables(level_shapes, value.device)
    exact_value, locations, weights = _full_and_contiguous(value, locations, weights)
    out = MultiScaleDeformableAttnFunction.apply(exact_value, *tables, locations, weights, step)
    return out.to(value.dtype)


@cache
def _torch_ms_deform_attn_devices() -> tuple[str, ...]:
    try:
        from torch_ms_deform_attn import _C

        return ('cpu', 'cuda') if _C.with_cuda else ('cpu',)
    except Exception:  # not installed, or built for another PyTorch
        return ()


def can_run_torch_ms_deform_attn(value: Tensor) -> bool:
    """Whether torch-ms-deform-attn is installed, and built for the device of ``value``: the CPU or CUDA."""
    return value.device.type in _torch_ms_deform_attn_devices()


def ms_deform_attn_torch_ms_deform_attn(
    value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """``ms_deform_attn`` by the package torch-ms-deform-attn, in float32 (float64 for float64 values)."""
    from torch_ms_deform_attn import ms_deform_attn

    tables = level_tables(level_shapes, value.device)
    exact_value, locations, weights = _full_and_contiguous(value, locations, weights)
    return ms_deform_attn(exact_value, *tables, locations, weights).to(value.dtype)


def can_run_deformops(value: Tensor) -> bool:
    """Whether deformops is installed and has its Triton kernels for ``value``; on CPUs it has none."""
    return value.is_cuda and value.dtype != torch.float64 and has_triton() and _is_installed('deformops')


def ms_deform_attn_deformops(
    value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """``ms_deform_attn`` by the package deformops (3.0 and newer), which chooses one of its kernels.

    It computes in the type of ``value``, half precision included, and takes the weights in that type.
    """
    from deformops.registry import msda

    tables = level_tables(level_shapes, value.device)
    return msda(value, *tables, locations, weights.to(value.dtype)).to(value.dtype)
