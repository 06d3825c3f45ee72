"""How a checkpoint comes to the disk: whole or not at all, and where it is wanted while the training goes on."""

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import runner as mmengine_runner
from mmengine.utils import apply_to
from torch import Tensor

from mask2former.formats.files import flush_to_disk, write_atomically


@contextmanager
def assembling() -> Iterator[list[dict]]:
    """Have mmengine's ``Runner.save_checkpoint``, which assembles a checkpoint and writes it, only assemble it."""
    assembled: list[dict] = []
    write = mmengine_runner.save_checkpoint
    mmengine_runner.save_checkpoint = lambda checkpoint, *args, **kwargs: assembled.append(checkpoint)
    try:
        yield assembled
    finally:
        mmengine_runner.save_checkpoint = write


def write_whole(checkpoint: dict, path: Path) -> None:
    """Write a file that is there whole or not at all, also when the machine loses its power."""

    def write(part: Path) -> None:
        torch.save(checkpoint, part)
        flush_to_disk(part)

    write_atomically(path, write)
    flush_to_disk(path.parent)


def snapshot(content: Any) -> Any:
    """A copy in main memory that shares nothing with what a training goes on to change."""
    on_cpu = apply_to(content, lambda value: isinstance(value, Tensor) and not value.is_cpu, Tensor.cpu)
    return copy.deepcopy(on_cpu)


class BackgroundWriter:
    """Does jobs in a thread, one after another; what comes after a job that failed is not done.

    The interpreter does not end before they are done.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, 'checkpoint')
        self._last: Future | None = None

    def submit(self, job: Callable[[], object]) -> None:
        """Do a job after those before it."""
        before = self._last

        def run() -> None:
            if before is not None:
                before.result()
            job()

        self._last = self._executor.submit(run)

    def wait(self) -> None:
        """Wait until all jobs are done; the error of one that failed is raised here, once."""
        last, self._last = self._last, None
        if last is not None:
            last.result()
