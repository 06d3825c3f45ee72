"""What the benchmarks share: their arguments, and how time, memory and results are written down."""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mask2former.formats.files import write_text

if TYPE_CHECKING:
    import torch


def positive(text: str) -> int:
    """A command-line argument that is a positive whole number."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no positive whole number.")
    return int(text)


def not_negative(text: str) -> int:
    """A command-line argument that is a whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number of 0 or more.")
    return int(text)


def parse_size(text: str) -> tuple[int, int]:
    """A command-line argument that is a size: '800x1333' is a height and a width, '512' is both."""
    try:
        numbers = [int(x) for x in text.split('x')]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or min(numbers) < 32:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no size: give HEIGHTxWIDTH or one number, of at least 32 pixels."
        )
    return numbers[0], numbers[-1]


def spread(values: list[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return dict(median=statistics.median(values), min=min(values), max=max(values))


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == 'cuda':
        import torch

        torch.cuda.synchronize(device)


@contextlib.contextmanager
def allow_tf32(allowed: bool) -> Iterator[None]:
    """Let products and convolutions of float32 on CUDA round to TF32, or not, until the end of the block."""
    import torch

    backends: tuple[Any, ...] = torch.backends.cuda.matmul, torch.backends.cudnn
    former = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = allowed
        yield
    finally:
        for backend, value in zip(backends, former):
            backend.allow_tf32 = value


def resident_mib() -> float:
    """The memory that this process holds now, in MiB."""
    import psutil

    return psutil.Process().memory_info().rss / 2**20


def peak_mb(device: torch.device) -> float:
    """Peak memory of this process in MiB: on CUDA what was allocated there, else what was resident."""
    if device.type == 'cuda':
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path('/proc/self/status')
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) / 1024
    unit = 2**20 if sys.platform == 'darwin' else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def write_json(path: str | Path, content: object) -> None:
    """Write figures into a file."""
    write_text(path, json.dumps(content, indent=1) + '\n')
