"""Time the backends of deformable attention side by side, at the sizes of Mask2Former's encoder.

Every token attends to 4 points of each of 3 levels (strides 32, 16 and 8) with 8 heads of 32 channels. The backends
take turns, so that what slows the machine for a while slows all of them. Times are medians, in milliseconds.
"""

import argparse
import functools
import math
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from mask2former.apis.cli import run_tool
from mask2former.errors import ConfigError
from mask2former.ops import available_backends, ms_deform_attn

from .common import parse_size, positive, synchronize, write_json

STRIDES, HEADS, HEAD_WIDTH, POINTS = (32, 16, 8), 8, 32, 4
CUDA_CALLS = 10
COLUMNS = ('size', 'tokens', 'backend', 'forward_ms', 'forward_backward_ms', 'peak_mib')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu', help='default: %(default)s')
    parser.add_argument(
        '--sizes',
        nargs='+',
        type=parse_size,
        default=[(512, 512), (800, 1333), (1024, 1024)],
        metavar='HxW',
        help='image sizes (default: 512 800x1333 1024)',
    )
    parser.add_argument('--backends', nargs='+', metavar='NAME', help='default: all that run on the device')
    parser.add_argument(
        '--dtype',
        choices=['float32', 'bfloat16', 'float16'],
        default='float32',
        help='of the values; locations and weights stay in float32, as under autocast (default: %(default)s)',
    )
    parser.add_argument('--batch-size', type=positive, default=1, help='default: %(default)s')
    parser.add_argument(
        '--repeats', type=positive, default=20, help='timed calls of each backend (default: %(default)s)'
    )
    parser.add_argument('--warmup', type=positive, default=3, help='calls before those (default: %(default)s)')
    parser.add_argument('--json', metavar='FILE', help='write the figures there, too')
    return parser.parse_args()


def make_inputs(
    size: tuple[int, int], batch_size: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, list[tuple[int, int]], Tensor, Tensor]:
    """value, level_shapes, locations and weights of self-attention: a token looks at cells near its own position.

    How near decides how much of the memory is in a cache: the distances are normally distributed with a deviation of
    4 cells, as far as the farthest point of a network at its start.
    """
    level_shapes = [(math.ceil(size[0] / stride), math.ceil(size[1] / stride)) for stride in STRIDES]
    generator = torch.Generator().manual_seed(0)
    centres = torch.cat(
        [
            torch.stack(
                torch.meshgrid((torch.arange(w) + 0.5) / w, (torch.arange(h) + 0.5) / h, indexing='xy'), dim=-1
            ).flatten(0, 1)
            for h, w in level_shapes
        ]
    )  # (S, 2)
    S, levels = len(centres), len(STRIDES)
    cells = torch.randn(batch_size, S, HEADS, levels, POINTS, 2, generator=generator) * POINTS
    level_wh = torch.tensor([(w, h) for h, w in level_shapes])[:, None]  # (L, 1, 2)
    locations = centres[:, None, None, None] + cells / level_wh  # (B, S, M, L, R, 2)
    value = torch.randn(batch_size, S, HEADS, HEAD_WIDTH, generator=generator).to(dtype)
    weights = torch.randn(batch_size, S, HEADS, levels * POINTS, generator=generator).softmax(-1)
    weights = weights.unflatten(-1, (levels, POINTS))
    value, locations, weights = (x.to(device).requires_grad_() for x in (value, locations, weights))
    return value, level_shapes, locations, weights


def time_call(call: Callable[[], object], device: torch.device) -> tuple[float, float | None]:
    """Milliseconds of a call, and the MiB that it allocated at most, beyond what was there (CUDA only).

    On CUDA it is called several times in a row, so that the time from the host to the device hides behind the work.
    """
    if device.type != 'cuda':
        start = time.perf_counter()
        call()
        return 1000 * (time.perf_counter() - start), None
    synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    start = time.perf_counter()
    for _ in range(CUDA_CALLS):
        call()
    synchronize(device)
    elapsed = 1000 * (time.perf_counter() - start) / CUDA_CALLS
    return elapsed, (torch.cuda.max_memory_allocated(device) - before) / 2**20


def benchmark(
    inputs: tuple[Tensor, list[tuple[int, int]], Tensor, Tensor],
    functions: dict[str, Callable[..., Tensor]],
    repeats: int,
    warmup: int,
) -> dict[str, dict]:
    """Time functions like ``ms_deform_attn`` on what :func:`make_inputs` gave; they take turns.

    Returns:
        dict[str, dict]: Of each its ``forward_ms``, ``forward_backward_ms`` and, of both together, ``peak_mib``.
    """
    value, _, locations, weights = inputs
    grad = torch.randn(value.shape[0], value.shape[1], HEADS * HEAD_WIDTH).to(value)

    def forward(attend: Callable[..., Tensor]) -> Tensor:
        with torch.no_grad():
            return attend(*inputs)

    def forward_backward(attend: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(attend(*inputs), (value, locations, weights), grad)

    rows: dict[str, dict] = {name: {} for name in functions}
    peaks: dict[str, float | None] = {}
    for what, function in (('forward_ms', forward), ('forward_backward_ms', forward_backward)):
        times: dict[str, list[float]] = {name: [] for name in functions}
        for turn in range(warmup + repeats):
            for name, attend in functions.items():
                elapsed, peaks[name] = time_call(lambda: function(attend), value.device)  # noqa: B023 (called at once)
                if turn >= warmup:
                    times[name].append(elapsed)
        for name, row in rows.items():
            row[what] = statistics.median(times[name])
    return {name: dict(row, peak_mib=peaks[name]) for name, row in rows.items()}


def format_table(rows: list[dict]) -> str:
    cells = [COLUMNS] + [
        tuple('-' if row[c] is None else f'{row[c]:.2f}' if isinstance(row[c], float) else str(row[c]) for c in COLUMNS)
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return '\n'.join('  '.join(cell.rjust(width) for cell, width in zip(line, widths)) for line in cells)


def main() -> None:
    args = parse_args()
    device = torch.device(args.device)
    there = available_backends(torch.empty(1, dtype=getattr(torch, args.dtype), device=device))
    backends = args.backends or there
    missing = [x for x in backends if x not in there]
    if missing:
        raise ConfigError(f'{", ".join(missing)} cannot run on {device} here; available: {", ".join(there)}.')
    setup = dict(
        device=torch.cuda.get_device_name(device) if device.type == 'cuda' else platform.processor() or 'cpu',
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        dtype=args.dtype,
        batch_size=args.batch_size,
        repeats=args.repeats,
        warmup=args.warmup,
    )
    print(', '.join(f'{key} {value}' for key, value in setup.items()))
    functions: dict[str, Callable[..., Tensor]] = {}
    for name in backends:
        functions[name] = functools.partial(ms_deform_attn, backend=name)
    rows = []
    for size in args.sizes:
        inputs = make_inputs(size, args.batch_size, getattr(torch, args.dtype), device)
        figures = benchmark(inputs, functions, args.repeats, args.warmup)
        given = dict(size='{}x{}'.format(*size), tokens=inputs[0].shape[1])
        rows += [dict(given, backend=name, **figures[name]) for name in backends]
    print(format_table(rows))
    if args.json:
        write_json(args.json, dict(setup, results=rows))


if __name__ == '__main__':
    run_tool(main)
