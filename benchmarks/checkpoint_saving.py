"""Seconds that a training loses for a checkpoint, where it waits until it is written and where it goes on.

    python -m benchmarks.checkpoint_saving FOLDER --parameters 216e6

The checkpoint has as many random parameters, and AdamW's two moments of each, as float32. The training is a product of
matrices, again and again: what it loses are the seconds in which it stands still, and those by which it is slower while
the file is being written.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from mask2former.apis.cli import run_tool
from mask2former.engine.checkpoint_file import BackgroundWriter, snapshot, write_whole

TENSORS = 400
SIDE = 768


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help='where to write; the file is removed')
    parser.add_argument('--parameters', type=float, default=216e6, help='their number (default: that of Swin-L, 216e6)')
    args = parser.parse_args()
    torch.manual_seed(0)
    size = int(args.parameters) // TENSORS
    content = {kind: [torch.randn(size) for _ in range(TENSORS)] for kind in ('weight', 'exp_avg', 'exp_avg_sq')}
    path = args.folder / 'benchmark.pth'
    rate = rate_of(lambda seconds: seconds > 5)
    waits = seconds_of(partial(write_whole, content, path))
    print(f'{path.stat().st_size / 1e9:.2f} GB; a training that waits loses {waits:.1f} s', flush=True)
    path.unlink()

    writer, done = BackgroundWriter(), []
    copied: list[dict] = []
    still = seconds_of(lambda: copied.append(snapshot(content)))
    start = time.perf_counter()
    writer.submit(partial(write_whole, copied.pop(), path))
    writer.submit(lambda: done.append(time.perf_counter() - start))
    slower = rate_of(lambda seconds: bool(done))
    writer.wait()
    path.unlink()
    lost = still + done[0] * (1 - slower / rate)
    print(
        f'one that goes on stands still for {still:.1f} s, is at {slower / rate:.0%} of its speed for {done[0]:.1f} s'
    )
    print(f'and so loses {lost:.1f} s')


def seconds_of(call: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def rate_of(over: Callable[[float], bool]) -> float:
    """Products of matrices a second, until ``over`` of the seconds is true."""
    matrix, count, start = torch.ones(SIDE, SIDE), 0, time.perf_counter()
    while not over(time.perf_counter() - start):
        torch.mm(matrix, matrix)
        count += 1
    return count / (time.perf_counter() - start)


if __name__ == '__main__':
    run_tool(main)
