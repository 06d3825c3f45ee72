"""How a checkpoint comes to the disk, whole or not at all and perhaps in the background, and how it comes back."""

import copy
import inspect
import zipfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner import runner as mmengine_runner
from mmengine.utils import apply_to
from torch import Tensor

from mask2former.checkpoints.read import check_sums, explain_unreadable
from mask2former.checkpoints.sharded_folder import is_sharded_folder, read_folder
from mask2former.errors import CheckpointError
from mask2former.formats.files import flush_to_disk, write_atomically


def assemble(runner: Runner, *args: Any, **kwargs: Any) -> dict:
    """The checkpoint that mmengine's ``Runner.save_checkpoint`` would write, in any process.

    The arguments are those of that method.
    """
    assembled: list[dict] = []
    write = mmengine_runner.save_checkpoint
    mmengine_runner.save_checkpoint = lambda checkpoint, *args, **kwargs: assembled.append(checkpoint)
    try:
        inspect.unwrap(Runner.save_checkpoint)(runner, *args, **kwargs)  # which is for the first process only
    finally:
        mmengine_runner.save_checkpoint = write
    return assembled[0]


def write_whole(checkpoint: dict, path: Path) -> None:
    """Write a file that is there whole or not at all, also when the machine loses its power.

    Raises:
        OSError: If it cannot be written; it names the file.
    """

    def write(part: Path) -> None:
        try:
            with open(part, 'wb') as file:  # of a file that it opens itself, torch does not say what is wrong
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, OSError):
                cause = cause.__context__
            if cause is None:
                raise
            raise OSError(cause.errno, cause.strerror, str(path)) from None
        flush_to_disk(part)

    write_atomically(path, write)
    flush_to_disk(path.parent)


def read_whole(filename: str, map_location: str | Callable = 'cpu') -> dict:
    """What a checkpoint holds: a file, a folder of shards, or an address that mmengine's loader knows.

    Raises:
        CheckpointError: If it cannot be read, or is no checkpoint.
    """
    with explain_unreadable(filename):
        if zipfile.is_zipfile(filename):
            check_sums(Path(filename))
        if is_sharded_folder(filename):
            return read_folder(filename)
        checkpoint = CheckpointLoader.load_checkpoint(filename, map_location)
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f"'{filename}' holds no weights but a {type(checkpoint).__name__}: give a checkpoint.")
    return checkpoint


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
