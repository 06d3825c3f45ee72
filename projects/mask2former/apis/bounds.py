"""Numbers of a config that are of the right type and too small or too large for anything to come of them."""

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

# Settings (patterns of whole paths), and the least and the largest value; None where there is none.
BOUNDS: dict[str, tuple[float | None, float | None]] = {
    r'model\.head\.(num_queries|num_heads|ffn_dims)': (1, None),
    r'model\.pixel_decoder\.(embed_dims|mask_dims|num_heads|num_points|num_groups|ffn_dims)': (1, None),
    r'model\.(head|pixel_decoder)\.num_layers': (0, None),
    r'model\.criterion\.(matcher\.)?num_points': (1, None),
    r'model\.criterion\.oversample_ratio': (1, None),
    r'model\.criterion\.importance_ratio': (0, 1),
    r'model\.data_preprocessor\.size_divisor': (1, None),
    r'(train|val|test)_dataloader\.batch_size': (1, None),
    r'(train|val|test)_dataloader\.num_workers': (0, None),
    r'optim_wrapper\.optimizer\.(lr|weight_decay)': (0, 1e6),
    r'optim_wrapper\.accumulative_counts': (1, None),
    r'optim_wrapper\.clip_grad\.max_norm': (0, None),
    r'randomness\.seed': (0, 2**32 - 1),
    r'default_hooks\.logger\.interval': (1, None),
}


def bound_faults(settings: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """A sentence for each setting, a path and a value, of ``BOUNDS`` that is out of them, NaN or no number."""
    for path, value in settings:
        for pattern, (least, most) in BOUNDS.items():
            if value is None or not re.fullmatch(pattern, path):
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
            if not number or (least is not None and value < least) or (most is not None and value > most):
                limit = f'from {least} on' if most is None else f'from {least} to {most:g}'
                yield f'{path} must be a number {limit}, not {value!r}.'
