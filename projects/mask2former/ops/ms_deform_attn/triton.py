"""Multi-scale deformable attention as a Triton kernel of our own: plain functions for its values and its gradients.

Triton comes with PyTorch's CUDA builds and compiles at the first call, so no compiler has to be installed. It is
imported at the first call only.
"""

import importlib.util
import itertools
import json
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mask2former.formats.files import write_json
from mask2former.ops.precision import full_dtype

from .level_tables import level_tables

THREAD_ELEMENTS = 8  # of a tile, for each thread: several loads in flight, and registers left for many programs
# With a single warp the sums over rows need neither shared memory nor barriers. The forward pass has no such sums.
WARPS = {'forward_kernel': 4, 'backward_kernel': 1}


class Launch(NamedTuple):
    """How a kernel is run.

    Attributes:
        block_queries: Neighbouring queries of a head that a program works on, a power of two.
        num_warps: Warps of 32 threads that share the work of a program, a power of two.
    """

    block_queries: int
    num_warps: int


# By launch_key; kernels that are not in it run by THREAD_ELEMENTS and WARPS. Filled by tune, or by hand.
CONFIG: dict[str, Launch] = {}


@lru_cache
def is_available() -> bool:
    """Whether Triton is installed."""
    return importlib.util.find_spec('triton') is not None


def forward(
    value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor, launch: Launch | None = None
) -> Tensor:
    """Compute ``mask2former.ops.ms_deform_attn`` without gradients, from tensors whose shapes that has checked.

    Sums run in float32, or in float64 where an input is of it; ``locations`` and ``weights`` may be of another type
    than ``value``. Samples outside of their level count as zero, and so do those at a NaN.

    Args:
        value: (B, S, M, C/M), on a GPU.
        level_shapes: L sizes (h, w).
        locations: (B, Q, M, L, R, 2).
        weights: (B, Q, M, L, R).
        launch: How to run the kernel, where not as :data:`CONFIG` says.

    Returns:
        (B, Q, C), of the type of ``value``.
    """
    shapes, starts = level_tables(level_shapes, value.device)
    value, locations, weights = value.contiguous(), locations.contiguous(), weights.contiguous()
    B, _, M, D = value.shape
    out = value.new_empty(B, locations.shape[1], M * D)
    _run('forward_kernel', [value, shapes, starts, locations, weights, out], value, locations, weights, launch)
    return out


def backward(
    grad_out: Tensor,
    value: Tensor,
    level_shapes: list[tuple[int, int]],
    locations: Tensor,
    weights: Tensor,
    launch: Launch | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients of ``forward``'s result with regard to ``value``, ``locations`` and ``weights``.

    Where samples share a cell, the order in which its gradient is summed differs from run to run.

    Args:
        grad_out: (B, Q, C), the gradient of the result.
        value: As in ``forward``, like those that follow.
        level_shapes: L sizes (h, w).
        locations: (B, Q, M, L, R, 2).
        weights: (B, Q, M, L, R).
        launch: How to run the kernel, where not as :data:`CONFIG` says.

    Returns:
        Gradients of the shapes and types of ``value``, ``locations`` and ``weights``.
    """
    shapes, starts = level_tables(level_shapes, value.device)
    grad_out, value = grad_out.contiguous(), value.contiguous()
    locations, weights = locations.contiguous(), weights.contiguous()
    # Half precision would lose what many samples add to one cell.
    grad_value = torch.zeros_like(value, dtype=full_dtype(value.dtype, locations.dtype, weights.dtype))
    grad_locations, grad_weights = torch.empty_like(locations), torch.empty_like(weights)
    tensors = [grad_out, value, shapes, starts, locations, weights, grad_value, grad_locations, grad_weights]
    _run('backward_kernel', tensors, value, locations, weights, launch)
    return grad_value.to(value.dtype), grad_locations, grad_weights


def _run(
    kernel: str, tensors: list[Tensor], value: Tensor, locations: Tensor, weights: Tensor, launch: Launch | None
) -> None:
    """Run a kernel: one program for each tile of queries of each head of each image."""
    B, S, M, D = value.shape
    _, Q, _, L, R = weights.shape
    if B * Q == 0:
        return
    import triton
    import triton.language as tl

    from . import triton_kernels

    if launch is None and CONFIG:
        launch = CONFIG.get(launch_key(kernel, value, weights))
    block, warps = launch or make_launch(D, THREAD_ELEMENTS, WARPS[kernel])
    kind = tl.float64 if full_dtype(value.dtype, locations.dtype, weights.dtype) == torch.float64 else tl.float32
    channels = triton.next_power_of_2(D)
    grid = (triton.cdiv(Q, block) * B * M,)
    # Triton launches on the current device, which may be another one.
    with torch.cuda.device_of(value):
        getattr(triton_kernels, kernel)[grid](
            *tensors, S, Q, M=M, L=L, R=R, D=D, BLOCK_QUERIES=block, BLOCK_CHANNELS=channels, KIND=kind, num_warps=warps
        )


def make_launch(D: int, thread_elements: int, num_warps: int) -> Launch:
    """A launch of which each thread has as many elements of a tile: queries by D channels, padded to a power of two."""
    return Launch(max(1, thread_elements * 32 * num_warps >> (D - 1).bit_length()), num_warps)


def candidate_launches(D: int) -> list[Launch]:
    """The launches that are worth measuring where heads have D channels."""
    return list(dict.fromkeys(make_launch(D, *x) for x in itertools.product((4, 8, 16, 32), (1, 2, 4, 8))))


def launch_key(kernel: str, value: Tensor, weights: Tensor) -> str:
    """What the best launch of a kernel depends on: the model, its type and the GPU, but not the sizes of images."""
    device = torch.cuda.get_device_name(value.device) if value.is_cuda else value.device.type
    _, _, M, D = value.shape
    return f'{kernel}, {M} heads of {D}, {weights.shape[3]} x {weights.shape[4]} points, {value.dtype}, {device}'


def tune(
    value: Tensor,
    level_shapes: list[tuple[int, int]],
    locations: Tensor,
    weights: Tensor,
    cache: str | Path | None = None,
    repeats: int = 10,
) -> dict[str, dict[Launch, float]]:
    """Measure how to run the kernels, and let :data:`CONFIG` have the fastest for inputs like these (``launch_key``).

    Args:
        value: As in ``forward``, like those that follow.
        level_shapes: L sizes (h, w).
        locations: (B, Q, M, L, R, 2).
        weights: (B, Q, M, L, R).
        cache: A JSON file that keeps the result; what it has already is taken from it without measuring.
        repeats: Timed calls, of which the fastest counts.

    Returns:
        The milliseconds of each launch of a kernel that was measured, the fastest first.
    """
    kept = json.loads(Path(cache).read_text()) if cache and Path(cache).exists() else {}
    inputs = (value, level_shapes, locations, weights)
    grad = torch.ones_like(forward(*inputs))
    calls: dict[str, Callable[[Launch], object]] = {
        'forward_kernel': lambda launch: forward(*inputs, launch),
        'backward_kernel': lambda launch: backward(grad, *inputs, launch),
    }
    measured = {}
    for kernel, call in calls.items():
        key = launch_key(kernel, value, weights)
        if key not in kept:
            launches = candidate_launches(value.shape[3])
            # The first call compiles.
            times = {x: min(_milliseconds(call, x, value.device) for _ in range(repeats + 1)) for x in launches}
            measured[kernel] = dict(sorted(times.items(), key=lambda item: item[1]))
            kept[key] = next(iter(measured[kernel]))
        CONFIG[key] = Launch(*kept[key])
    if cache:
        write_json(cache, kept)
    return measured


def _milliseconds(call: Callable[[Launch], object], launch: Launch, device: torch.device) -> float:
    start = time.perf_counter()
    call(launch)
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start) * 1e3
