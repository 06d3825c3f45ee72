"""The time of the Triton kernel with other tiles than its own."""

from collections.abc import Callable, Iterator
from itertools import product
from unittest import mock

import torch
from torch import Tensor

from benchmarks.deformable_attention import make_inputs, time_call
from mask2former.ops import triton_kernel

from .settings import Settings

ELEMENTS, WARPS = (4, 8, 16, 32), (1, 2, 4, 8)
TOLERANCE = dict(float32=1e-5, bfloat16=2e-2)


def check(settings: Settings, part: str) -> Iterator[dict]:
    """The time with each tile, first with that in use."""
    if not triton_kernel.is_available():
        yield dict(skipped='Triton is not installed')
        return
    device = torch.device(settings.device)
    for dtype, kernel in product(['float32'] if settings.small else TOLERANCE, triton_kernel.WARPS):
        chosen = triton_kernel.THREAD_ELEMENTS, triton_kernel.WARPS[kernel]
        tiles = [chosen, *(pair for pair in product(ELEMENTS, WARPS) if pair != chosen)]
        call = make_call(kernel, getattr(torch, dtype), device, settings.small)
        expected = call()
        for elements, warps in tiles[:2] if settings.small else tiles:
            case = dict(kernel=kernel, dtype=dtype, elements=elements, warps=warps)
            case['chosen'] = (elements, warps) == chosen
            repeats = 1 if settings.small else 5
            yield settings.measure(
                case, time_tile, call, expected, kernel, elements, warps, repeats, device, TOLERANCE[dtype]
            )


def make_call(kernel: str, dtype: torch.dtype, device: torch.device, small: bool) -> Callable[[], list[Tensor]]:
    """A call of the forward or the backward kernel, which gives its results."""
    value, level_shapes, locations, weights = make_inputs((32, 32) if small else (1024, 1024), 1, dtype, device)
    value, locations, weights = value.detach(), locations.detach(), weights.detach()
    if small:
        value, locations, weights = value[:, :, :1], locations[:, :5, :1], weights[:, :5, :1]
    inputs = value, level_shapes, locations, weights
    if kernel == 'forward_kernel':
        return lambda: [triton_kernel.forward(*inputs)]
    grad = torch.ones_like(triton_kernel.forward(*inputs))
    return lambda: list(triton_kernel.backward(grad, *inputs))


def time_tile(
    call: Callable[[], list[Tensor]],
    expected: list[Tensor],
    kernel: str,
    elements: int,
    warps: int,
    repeats: int,
    device: torch.device,
    tolerance: float,
) -> dict[str, object]:
    """Milliseconds with a tile, and how far the results are from the expected."""
    with (
        mock.patch.object(triton_kernel, 'THREAD_ELEMENTS', elements),
        mock.patch.dict(triton_kernel.WARPS, {kernel: warps}),
    ):
        found = call()
        ms = min(time_call(call, device)[0] for _ in range(repeats))
    worst = max(float((x - y).abs().max() / y.abs().max()) for x, y in zip(found, expected))
    return dict(ms=ms, worst=worst, ok=worst <= tolerance)
