"""The time of the Triton kernel with other launches than its own, and whether they give the same values."""

import functools
from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor

from benchmarks.deformable_attention import HEAD_WIDTH, make_inputs, time_call
from mask2former.ops.ms_deform_attn import triton

from .settings import Settings

TOLERANCE = dict(float32=1e-5, bfloat16=2e-2)
Call = Callable[[triton.Launch], list[Tensor]]


def check(settings: Settings, part: str) -> Iterator[dict]:
    """The time with each launch, first with that in use."""
    if not triton.is_available():
        yield dict(part=part, skipped='Triton is not installed')
        return
    device = torch.device(settings.device)
    for dtype, kernel in product(['float32'] if settings.small else TOLERANCE, triton.WARPS):
        chosen = triton.make_launch(HEAD_WIDTH, triton.THREAD_ELEMENTS, triton.WARPS[kernel])
        launches = dict.fromkeys([chosen, *triton.candidate_launches(HEAD_WIDTH)])
        prepared = functools.cache(
            functools.partial(prepare, kernel, getattr(torch, dtype), device, settings.small, chosen)
        )
        for launch in list(launches)[: 2 if settings.small else None]:
            case = dict(kernel=kernel, dtype=dtype, **launch._asdict(), chosen=launch == chosen)
            repeats = 1 if settings.small else 5
            yield settings.measure(case, time_launch, prepared, launch, repeats, device, TOLERANCE[dtype])


def prepare(
    kernel: str, dtype: torch.dtype, device: torch.device, small: bool, chosen: triton.Launch
) -> tuple[Call, list[Tensor]]:
    """A call of a kernel, and its results with the launch in use."""
    call = make_call(kernel, dtype, device, small)
    return call, call(chosen)


def make_call(kernel: str, dtype: torch.dtype, device: torch.device, small: bool) -> Call:
    """A call of the forward or the backward kernel, which gives its results."""
    value, level_shapes, locations, weights = make_inputs((32, 32) if small else (1024, 1024), 1, dtype, device)
    value, locations, weights = value.detach(), locations.detach(), weights.detach()
    if small:
        value, locations, weights = value[:, :, :1], locations[:, :5, :1], weights[:, :5, :1]
    inputs = value, level_shapes, locations, weights
    if kernel == 'forward_kernel':
        return lambda launch: [triton.forward(*inputs, launch)]
    grad = torch.ones_like(triton.forward(*inputs))
    return lambda launch: list(triton.backward(grad, *inputs, launch))


def time_launch(
    prepared: Callable[[], tuple[Call, list[Tensor]]],
    launch: triton.Launch,
    repeats: int,
    device: torch.device,
    tolerance: float,
) -> dict[str, object]:
    """Milliseconds with a launch, and how far the results are from those of the launch in use."""
    call, expected = prepared()
    found = call(launch)
    ms = min(time_call(lambda: call(launch), device)[0] for _ in range(repeats))
    worst = max(float((x - y).abs().max() / y.abs().max()) for x, y in zip(found, expected))
    return dict(ms=ms, worst=worst, ok=worst <= tolerance)
