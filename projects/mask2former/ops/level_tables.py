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


def level_tables(level_shapes: list[tuple[int, int]], tokens: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The sizes (L, 2) of the levels, h and w, and the first token (L,) of each, both int64, on ``device``.

    They are kept from call to call: a copy to the device would make the host wait for it in every layer.

    Args:
        level_shapes (list[tuple[int, int]]): L sizes (h, w).
        tokens (int): S. Kernels trust the tables, so a false size would have them read foreign memory.
        device (torch.device): Where they shall lie.

    Raises:
        ValueError: The sizes do not add up to S tokens.
    """
    shapes = tuple((int(h), int(w)) for h, w in level_shapes)
    if any(h < 1 or w < 1 for h, w in shapes) or sum(h * w for h, w in shapes) != tokens:
        raise ValueError(
            f'The levels {list(shapes)} do not add up to the {tokens} tokens of value; '
            'give the (h, w) of each level in the order of its tokens.'
        )
    # While a graph is traced tensors are stand-ins, which must not outlive the tracing.
    make = _make.__wrapped__ if torch.compiler.is_compiling() else _make
    return make(shapes, device)
