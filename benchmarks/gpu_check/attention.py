"""Values, gradients, time and memory of the backends of deformable attention."""

import functools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.deformable_attention import benchmark, make_inputs
from mask2former.ops import available_backends, ms_deform_attn

from .settings import Settings

TOLERANCE = dict(float32=1e-4, float16=4e-3, bfloat16=3e-2)
NAMES = ('forward', 'value_grad', 'locations_grad', 'weights_grad')
MARGIN = 0.05  # of a cell
Attend = Callable[[Tensor, list[tuple[int, int]], Tensor, Tensor], Tensor]


def check(settings: Settings, part: str) -> Iterator[dict]:
    """Errors, milliseconds and MiB of the backend ``part``."""
    device = torch.device(settings.device)
    attend = find(part, torch.empty(1, device=device))
    if attend is None:
        # Ours is what this is about: without it there is no verdict.
        yield dict(backend=part, **{'skipped' if part == 'native' else 'absent': 'not available here'})
        return
    for size in [(64, 96)] if settings.small else [(512, 512), (1024, 1024), (800, 1333)]:
        for batch_size in (1, 2):
            for dtype in TOLERANCE:
                case = dict(backend=part, dtype=dtype, size='{}x{}'.format(*size), batch_size=batch_size)
                turns = (1, 1) if settings.small else (10, 3)
                yield settings.measure(case, examine, attend, size, batch_size, dtype, device, turns)


def find(name: str, value: Tensor) -> Attend | None:
    """The function of a backend, if it can run on the device of a tensor."""
    if name != 'msda-triton':
        return functools.partial(ms_deform_attn, backend=name) if name in available_backends(value) else None
    try:
        from msda_triton.frontend import triton_multiscale_deformable_attention
    except ImportError:
        return None

    def attend(value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
        shapes = torch.tensor(level_shapes, device=value.device)
        # It takes no bfloat16.
        out = triton_multiscale_deformable_attention(value.float(), shapes, locations, weights, 'zeros', False)
        return out.flatten(2).to(value.dtype)

    return attend if value.is_cuda else None


def examine(
    attend: Attend, size: tuple[int, int], batch_size: int, dtype: str, device: torch.device, turns: tuple[int, int]
) -> dict[str, object]:
    """The errors of a backend and its figures; ``turns`` are those that count and those before them."""
    inputs = make_inputs(size, batch_size, getattr(torch, dtype), device)
    errors = compare(attend, keep_from_borders(*inputs))
    ok = all(errors[f'{name}_error'] <= TOLERANCE[dtype] for name in NAMES)
    return dict(errors, ok=ok, **benchmark(inputs, {'it': attend}, *turns)['it'])


def keep_from_borders(
    value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> tuple[Tensor, list[tuple[int, int]], Tensor, Tensor]:
    """The inputs with no sample near the border of two cells: the gradient jumps there, and rounding decides."""
    sizes = torch.tensor([(w, h) for h, w in level_shapes], device=value.device)[:, None]  # (L, 1, 2)
    cells = locations.detach().double() * sizes - 0.5
    cells = cells.floor() + (cells - cells.floor()).clamp(MARGIN, 1 - MARGIN)
    return value, level_shapes, ((cells + 0.5) / sizes).float().requires_grad_(), weights


def compare(attend: Attend, inputs: tuple[Tensor, list[tuple[int, int]], Tensor, Tensor]) -> dict[str, float]:
    """The largest errors of the values and the three gradients, relative to the largest value, and that value."""
    value, level_shapes, locations, weights = inputs
    exact = [x.detach().double().requires_grad_() for x in (value, locations, weights)]
    reference = ms_deform_attn(exact[0], level_shapes, exact[1], exact[2], backend='grid_sample')
    out = attend(value, level_shapes, locations, weights)
    grad = torch.randn(reference.shape, generator=torch.Generator().manual_seed(1)).to(out)
    expected = [reference, *torch.autograd.grad(reference, exact, grad.double())]
    found = [out, *torch.autograd.grad(out, (value, locations, weights), grad)]
    errors = {}
    for name, x, y in zip(NAMES, found, expected):
        x, y = x.detach(), y.detach()
        errors[f'{name}_error'] = float((x - y).abs().max() / y.abs().max())
        errors[f'{name}_max'] = float(y.abs().max())
    return errors
