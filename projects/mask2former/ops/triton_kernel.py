"""Multi-scale deformable attention as a Triton kernel of our own: plain functions for its values and its gradients.

Triton comes with PyTorch's CUDA builds and compiles at the first call, so no compiler has to be installed. It is
imported at the first call only.
"""

import importlib.util
from functools import lru_cache

import torch
from torch import Tensor

from .level_tables import level_tables

THREAD_ELEMENTS = 8  # of a tile, for each thread: several loads in flight, and registers left for many programs
# With a single warp the sums over rows need neither shared memory nor barriers. The forward pass has no such sums.
WARPS = {'forward_kernel': 4, 'backward_kernel': 1}


@lru_cache
def is_available() -> bool:
    """Whether Triton is installed."""
    return importlib.util.find_spec('triton') is not None


def _check(value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> None:
    """The kernel trusts the shapes: false ones would have it read foreign memory."""
    B, _, M, _ = value.shape
    expected = (B, locations.shape[1], M, len(level_shapes), weights.shape[-1])
    if tuple(weights.shape) != expected or tuple(locations.shape) != (*expected, 2):
        raise ValueError(
            f'The shapes of value {tuple(value.shape)}, {len(level_shapes)} levels, locations {tuple(locations.shape)} '
            f'and weights {tuple(weights.shape)} do not agree; they must be (B, S, M, C/M), (B, T, M, L, R, 2) and '
            '(B, T, M, L, R).'
        )
    if not value.device == locations.device == weights.device:
        raise ValueError(
            f'value is on {value.device}, locations are on {locations.device} and weights on '
            f'{weights.device}; move them to one device.'
        )


def _launch(kernel_name: str, tensors: list[Tensor], value: Tensor, weights: Tensor) -> None:
    """Run a kernel: one program for each tile of tokens of each head of each image."""
    import triton
    import triton.language as tl

    from . import triton_jit

    B, S, M, D = value.shape
    _, T, _, L, R = weights.shape
    columns = triton.next_power_of_2(D)
    # Fixed by the width of a head alone: nothing is tuned at run time, and equal calls do equal sums.
    warps = WARPS[kernel_name]
    tile = max(1, THREAD_ELEMENTS * 32 * warps // columns)
    kind = tl.float64 if value.dtype == torch.float64 else tl.float32
    grid = (triton.cdiv(T, tile) * B * M,)
    # Triton launches on the current device, which may be another one.
    with torch.cuda.device_of(value):
        getattr(triton_jit, kernel_name)[grid](
            *tensors, S, T, M=M, L=L, R=R, D=D, TILE=tile, COLUMNS=columns, KIND=kind, num_warps=warps
        )


def forward(value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    """Compute ``mask2former.ops.ms_deform_attn`` without gradients.

    Sums run in float32, or in float64 where ``value`` is of it; ``locations`` and ``weights`` may be of another type
    than ``value``. Samples outside of their level count as zero, and so do those at a NaN.

    Args:
        value (Tensor): (B, S, M, C/M), on a GPU.
        level_shapes (list[tuple[int, int]]): L sizes (h, w).
        locations (Tensor): (B, T, M, L, R, 2).
        weights (Tensor): (B, T, M, L, R).

    Returns:
        Tensor: (B, T, C), of the type of ``value``.

    Raises:
        ValueError: The shapes or the devices do not agree.
    """
    _check(value, level_shapes, locations, weights)
    shapes, starts = level_tables(level_shapes, value.shape[1], value.device)
    value, locations, weights = value.contiguous(), locations.contiguous(), weights.contiguous()
    B, _, M, D = value.shape
    out = value.new_empty(B, locations.shape[1], M * D)
    if out.numel():
        _launch('forward_kernel', [value, shapes, starts, locations, weights, out], value, weights)
    return out


def backward(
    grad_out: Tensor, value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients of ``forward``'s result with regard to ``value``, ``locations`` and ``weights``.

    Where samples share a cell, the order in which its gradient is summed differs from run to run.

    Args:
        grad_out (Tensor): (B, T, C), the gradient of the result.
        value (Tensor): As in ``forward``, like those that follow.
        level_shapes (list[tuple[int, int]]): L sizes (h, w).
        locations (Tensor): (B, T, M, L, R, 2).
        weights (Tensor): (B, T, M, L, R).

    Returns:
        tuple[Tensor, Tensor, Tensor]: Gradients of the shapes and types of ``value``, ``locations`` and ``weights``.

    Raises:
        ValueError: The shapes or the devices do not agree.
    """
    _check(value, level_shapes, locations, weights)
    B, _, M, D = value.shape
    if tuple(grad_out.shape) != (B, locations.shape[1], M * D):
        raise ValueError(
            f'The gradient has the shape {tuple(grad_out.shape)}, the result '
            f'{(B, locations.shape[1], M * D)}; give the gradient of the result.'
        )
    shapes, starts = level_tables(level_shapes, value.shape[1], value.device)
    grad_out, value = grad_out.contiguous(), value.contiguous()
    locations, weights = locations.contiguous(), weights.contiguous()
    # Half precision would lose what many samples add to one cell.
    kind = torch.float64 if value.dtype == torch.float64 else torch.float32
    grad_value = torch.zeros_like(value, dtype=kind)
    grad_locations, grad_weights = torch.empty_like(locations), torch.empty_like(weights)
    if grad_out.numel():
        tensors = [grad_out, value, shapes, starts, locations, weights, grad_value, grad_locations, grad_weights]
        _launch('backward_kernel', tensors, value, weights)
    return grad_value.to(value.dtype), grad_locations, grad_weights
