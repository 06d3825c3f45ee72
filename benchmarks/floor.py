"""How near the parts of a step come to what the processor can do at all.

The floor of a step is the time of its matrix products and convolutions alone, as many as are computed, at the best
speed that this machine reaches at either. Everything else, passes over memory and the calls themselves, is above it.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

SECONDS = 0.5  # a peak is the best of what fits into it


def _count_linear(x: Tensor, weight: Tensor) -> int:
    return 2 * x.numel() * len(weight)


# What PyTorch's table of operations does not have. Like it, a multiplication with its addition is two.
COUNTS: dict[Any, Callable[..., int]] = {
    torch.ops.mkldnn._linear_pointwise.default: lambda x, weight, *_, **__: _count_linear(x, weight),
    torch.ops.mkldnn._linear_pointwise.binary: lambda x, added, weight, *_, **__: _count_linear(x, weight),
    torch.ops.aten.baddbmm_.default: lambda out, a, b, *_, **__: 2 * a.numel() * b.shape[-1],
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default: lambda q, k, v, *_, **__: sdpa_flop_count(
        q.shape, k.shape, v.shape
    ),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default: (
        lambda grad, q, k, v, *_, **__: sdpa_backward_flop_count(grad.shape, q.shape, k.shape, v.shape)
    ),
}


class OperationCounter(TorchDispatchMode):
    """Counts the operations of the matrix products and convolutions in its context; PyTorch's own counter asks each
    module's tensors for their gradient functions, which not all have here."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = COUNTS.get(func) or flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def measure_peaks() -> dict[str, float]:
    """The best speeds on this machine now, with the threads that PyTorch has.

    Returns:
        dict[str, float]: ``product`` and ``convolution``, of size 3, in operations a second; ``copy`` in bytes read and
        written a second.
    """
    a, b = torch.rand(2048, 1024), torch.rand(1024, 1024)
    maps = torch.rand(1, 256, 64, 64).to(memory_format=torch.channels_last)
    kernel = torch.rand(256, 256, 3, 3)
    large, other = torch.rand(2, 2**25)
    multiplications = [lambda: torch.ops.mkldnn._linear_pointwise(a, b, None, 'none', [], ''), lambda: a @ b.T]
    with torch.no_grad():
        return dict(
            product=2 * a.numel() * len(b) / min(map(_best, multiplications)),
            convolution=2 * kernel.numel() * 64 * 64 / _best(lambda: F.conv2d(maps, kernel, padding=1)),
            copy=2 * large.nbytes / _best(lambda: large.copy_(other)),
        )


def _best(call: Callable[[], Tensor]) -> float:
    """The shortest of the seconds that the call takes, after one that does not count."""
    call()
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)
