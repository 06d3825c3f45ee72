"""As many dataloader workers as there are processor cores, at most."""

import os
from functools import cache

from mmengine.logging import print_log


def usable_cores() -> int:
    """The processor cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def bounded_workers(asked: int) -> int:
    """The workers of a dataloader: those that the config asks for, or one for each core where these are fewer."""
    cores = usable_cores()
    if asked > cores:
        _say(asked, cores)
    return min(asked, cores)


@cache
def _say(asked: int, cores: int) -> None:
    """Say it once in a process."""
    print_log(f'{cores} workers load the images, not {asked}: there are no more processor cores.', 'current')
