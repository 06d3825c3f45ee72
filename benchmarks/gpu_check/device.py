"""What the machine has, and how fast it multiplies and copies."""

import importlib.metadata
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator

import torch

from benchmarks.common import allow_tf32, synchronize
from mask2former import __version__

from .settings import Settings

PACKAGES = ('torch', 'triton', 'mask2former', 'mmengine', 'mmdet', 'mmcv', 'mmcv-lite', 'transformers', 'numpy')
ATTENTION = ('msda-triton', 'deformops', 'torch-ms-deform-attn')
PRODUCTS = {
    'float32': (torch.float32, False),
    'float32 with TF32': (torch.float32, True),
    'bfloat16': (torch.bfloat16, False),
    'float16': (torch.float16, False),
}


def check(settings: Settings, part: str) -> Iterator[dict]:
    """Names, versions and rates."""
    device = torch.device(settings.device)
    found = dict(machine(device), **versions())
    yield from (dict(what=what, value=value) for what, value in found.items())
    side = 128 if settings.small else 8192
    for name, (dtype, tf32) in PRODUCTS.items():
        yield settings.measure(dict(what=f'product in {name}, {side} x {side}'), multiply, side, dtype, tf32, device)
    yield settings.measure(dict(what='copy'), copy, 2**20 if settings.small else 2**30, device)


def machine(device: torch.device) -> dict[str, str]:
    """The machine's names and sizes."""
    found = dict(
        system=platform.platform(), python=platform.python_version(), cores=str(os.cpu_count()), device=str(device)
    )
    if device.type == 'cuda':
        properties = torch.cuda.get_device_properties(device)
        found.update(
            name=properties.name,
            driver=driver_version(),
            capability=f'{properties.major}.{properties.minor}',
            memory=f'{properties.total_memory / 2**30:.1f} GiB',
            multiprocessors=str(properties.multi_processor_count),
            cuda=str(torch.version.cuda),
            cudnn=str(torch.backends.cudnn.version()),
        )
    return found


def driver_version() -> str:
    """The version of the GPU's driver."""
    command = ['nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader']
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split('\n')[0]
    except (OSError, subprocess.SubprocessError):
        return 'unknown'


def environment(device: str) -> dict[str, str]:
    """What results depend on, beside their sizes: those of two environments do not belong into one report."""
    found = dict(torch=torch.__version__, mask2former=__version__)
    if device == 'cuda':
        found.update(name=torch.cuda.get_device_name(), driver=driver_version())
    return found


def versions() -> dict[str, str]:
    """The versions of what is installed and matters here."""
    found = {}
    for package in (*PACKAGES, *ATTENTION):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def multiply(side: int, dtype: torch.dtype, tf32: bool, device: torch.device) -> dict[str, str]:
    """The rate of a product of square matrices."""
    x = torch.randn(side, side, device=device).to(dtype)
    with allow_tf32(tf32):
        return dict(value=f'{2e-12 * side**3 / seconds(lambda: x @ x, device):.3g} TFLOP/s')


def copy(size: int, device: torch.device) -> dict[str, str]:
    """The rate of a copy, what is read and what is written counted."""
    x = torch.empty(size, dtype=torch.uint8, device=device)
    return dict(value=f'{2e-9 * size / seconds(x.clone, device):.3g} GB/s')


def seconds(call: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """The mean of several calls in a row, after as many that do not count."""
    for _ in range(2):
        synchronize(device)
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        synchronize(device)
    return (time.perf_counter() - start) / repeats
