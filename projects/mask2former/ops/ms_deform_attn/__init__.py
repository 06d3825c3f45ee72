"""Multi-scale deformable attention (Zhu et al., Deformable DETR, arXiv 2010.04159, equation 3) as one function."""

import functools
from collections.abc import Callable

import torch
from mmengine.logging import print_log
from torch import Tensor

from mask2former.errors import ConfigError

from .gather import ms_deform_attn_gather
from .operators import can_run_native, ms_deform_attn_native
from .reference import ms_deform_attn_grid_sample
from .third_party import (
    can_run_deformops,
    can_run_mmcv,
    can_run_torch_ms_deform_attn,
    ms_deform_attn_deformops,
    ms_deform_attn_mmcv,
    ms_deform_attn_torch_ms_deform_attn,
)

# In order of preference: what each is called, the function, and whether it can take a tensor like this one.
BACKENDS: dict[str, tuple[Callable[..., Tensor], Callable[[Tensor], bool]]] = {
    'native': (ms_deform_attn_native, can_run_native),
    'deformops': (ms_deform_attn_deformops, can_run_deformops),
    'mmcv': (ms_deform_attn_mmcv, can_run_mmcv),
    'torch_ms_deform_attn': (ms_deform_attn_torch_ms_deform_attn, can_run_torch_ms_deform_attn),
    'grid_sample': (ms_deform_attn_grid_sample, lambda value: True),
    'gather': (ms_deform_attn_gather, lambda value: True),
}


def ms_deform_attn(
    value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor, backend: str = 'auto'
) -> Tensor:
    """Each query's weighted sum of bilinear samples of several feature levels.

    Letters: B images, Q queries, S values, M heads, L levels, R sampling points of a head in a level.

    Args:
        value: (B, S, M, C/M), the values of all levels one after another.
        level_shapes: L sizes (h, w), in the order of ``value``; they add up to S.
        locations: (B, Q, M, L, R, 2), x and y of each sample, 0 to 1 over its level. Outside is zero.
        weights: (B, Q, M, L, R), the attention weights.
        backend: 'auto' for the first of :data:`BACKENDS` that can take these tensors, or the name of one.

    Returns:
        (B, Q, C), of ``value``'s type.

    Raises:
        ConfigError: If there is no such backend, or it cannot run here.
        ValueError: If the shapes or the devices do not fit each other.
    """
    _check_inputs(value, level_shapes, locations, weights)
    if backend == 'auto':
        # Only as many are asked as it takes: what the others look at on the disk could not be traced by a compiler.
        backend = next(name for name, (_, can_run) in BACKENDS.items() if can_run(value))
        if backend != 'native' and not torch.compiler.is_compiling():
            _log_choice(backend, value.device.type)
    elif backend not in BACKENDS or not BACKENDS[backend][1](value):
        raise ConfigError(
            f"The deformable attention backend '{backend}' cannot run on {value.device.type} here: "
            f"use 'auto' or one of {available_backends(value)}."
        )
    return BACKENDS[backend][0](value, level_shapes, locations, weights)


def available_backends(value: Tensor) -> list[str]:
    """The names of the backends that can take a tensor like ``value``, the preferred one first."""
    return [name for name, (_, can_run) in BACKENDS.items() if can_run(value)]


def _check_inputs(value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> None:
    """The one check for all backends, which trust the shapes: false ones would have a kernel read foreign memory."""
    B, S, M, _ = value.shape
    expected = (B, locations.shape[1], M, len(level_shapes), locations.shape[4], 2)
    fits = locations.shape == expected and weights.shape == expected[:-1]
    if not fits or any(h < 1 or w < 1 for h, w in level_shapes) or sum(h * w for h, w in level_shapes) != S:
        raise ValueError(
            f'value {tuple(value.shape)}, levels {list(level_shapes)}, locations {tuple(locations.shape)} and weights '
            f'{tuple(weights.shape)} do not fit each other: see the shapes that ms_deform_attn asks for.'
        )
    if not value.device == locations.device == weights.device:
        raise ValueError(
            f'value is on {value.device}, locations are on {locations.device} and weights on {weights.device}; '
            'move them to one device.'
        )


@functools.cache
def _log_choice(backend: str, device: str) -> None:
    if device == 'cuda':
        print_log(
            f"Deformable attention runs through '{backend}': with Triton installed it would use a kernel of its "
            'own on CUDA.',
            logger='current',
        )
