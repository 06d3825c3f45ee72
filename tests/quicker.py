"""Takes away what mmengine does again and again in trainings of a second each; imported for that."""

import functools
import gc
import sys
from collections.abc import Callable

import mmengine.config.config


@functools.lru_cache(maxsize=8)
def _formatted(code: str, format_code: Callable = mmengine.config.config.FormatCode, **style: object) -> tuple:
    return format_code(code, style_config=style)


# A config is formatted four times for each training and once for each checkpoint, a tenth of a second each.
mmengine.config.config.FormatCode = lambda code, style_config: _formatted(code, **style_config)


_seen = 0  # modules at the last freeze


def freeze_imports() -> None:
    """Take the objects of all that was imported out of the garbage collector's sight: mmengine collects whenever a data
    set is built, which took most of the time of many tests.

    Only where much was imported since the last time, as garbage of later is not seen any more either.
    """
    global _seen
    if len(sys.modules) > _seen + 200:
        gc.collect()
        gc.freeze()
        _seen = len(sys.modules)
