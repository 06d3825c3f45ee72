"""Time the backends of deformable attention side by side, at the sizes of Mask2Former's encoder.

Every token attends to 4 points of each of 3 levels (strides 32, 16 and 8) with 8 heads of 32 channels. The backends
take turns, so that what slows the machine for a while slows all of them. Times are medians, in milliseconds.
"""

import argparse
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


def make_inputs(size: tuple[int, int], batch_size: int, dtype: torch.dtype, device: torch.device):
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
    """Milliseconds of a call, and the MiB that it allocated at most, beyond what was there (CUDA only)."""
    before = 0
    synchronize(device)
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    start = time.perf_counter()
    call()
    synchronize(device)
    elapsed = 1000 * (time.perf_counter() - start)
    return elapsed, (torch.cuda.max_memory_allocated(device) - before) / 2**20 if device.type == 'cuda' else None


def benchmark(size: tuple[int, int], backends: list[str], args: argparse.Namespace) -> list[dict]:
    """The rows of the table for one size."""
    device = torch.device(args.device)
    value, level_shapes, locations, weights = make_inputs(size, args.batch_size, getattr(torch, args.dtype), device)
    grad = torch.randn(args.batch_size, value.shape[1], HEADS * HEAD_WIDTH).to(value)

    def forward(backend: str) -> Tensor:
        with torch.no_grad():
            return ms_deform_attn(value, level_shapes, locations, weights, backend=backend)

    def forward_backward(backend: str) -> tuple[Tensor, ...]:
        out = ms_deform_attn(value, level_shapes, locations, weights, backend=backend)
        return torch.autograd.grad(out, (value, locations, weights), grad)

    rows = [dict(size=f'{size[0]}x{size[1]}', tokens=value.shape[1], backend=backend) for backend in backends]
    for what, function in (('forward_ms', forward), ('forward_backward_ms', forward_backward)):
        times, peaks = {backend: [] for backend in backends}, {}
        for turn in range(args.warmup + args.repeats):
            for backend in backends:
                elapsed, peak = time_call(lambda: function(backend), device)  # noqa: B023 (called at once)
                if turn >= args.warmup:
                    times[backend].append(elapsed)
                    peaks[backend] = peak
        for row in rows:
            row[what] = statistics.median(times[row['backend']])
            row['peak_mib'] = peaks[row['backend']]  # in the end that of forward and backward
    return rows


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
    rows = [row for size in args.sizes for row in benchmark(size, backends, args)]
    print(format_table(rows))
    if args.json:
        write_json(args.json, dict(setup, results=rows))


if __name__ == '__main__':
    run_tool(main)
