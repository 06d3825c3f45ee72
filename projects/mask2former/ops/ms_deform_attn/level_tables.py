"""The levels as small tensors, which is how compiled kernels want them."""

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=256)
def _make(level_shapes: tuple[tuple[int, int], ...], device: torch.device) -> tuple[Tensor, Tensor]:
    starts = [0]
    for h, w in level_shapes[:-1]:
        starts.append(starts[-1] + h * w)
    # A tensor made in inference mode could not be saved for the backward of a later training step.
    with torch.inference_mode(False):
        return (
            torch.tensor(level_shapes, dtype=torch.int64, device=device),
            torch.tensor(starts, dtype=torch.int64, device=device),
        )


def level_tables(level_shapes: list[tuple[int, int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """The sizes (L, 2) of the levels, h and w, and the index (L,) of the first value of each, both int64, on a device.

    They are kept from call to call: a copy to the device would make the host wait for it in every layer.
    """
    # While a graph is traced tensors are stand-ins, which must not outlive the tracing.
    make = _make.__wrapped__ if torch.compiler.is_compiling() else _make
    return make(tuple((int(h), int(w)) for h, w in level_shapes), device)
