"""What a section is told, and how it measures a case."""

import gc
import multiprocessing
import os
import subprocess
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NO_TIME, NO_MEMORY = 'no time left', 'does not fit into the memory of the device'


@dataclass(frozen=True)
class Settings:
    """What a section is told.

    Attributes:
        device: 'cuda' or 'cpu'.
        small: Whether to run at sizes that a CPU does in a test.
        folder: Where data and logs go.
        deadline: ``time.time()`` from which no further case is begun.
    """

    device: str
    small: bool
    folder: Path
    deadline: float

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.time()

    def measure(self, case: dict, function: Callable[..., dict], *arguments, needs: float = 0.0) -> dict:
        """The row of a case: the case with what ``function`` gave, or with why there is nothing.

        Args:
            case: What is measured.
            function: Measures it.
            arguments: Of the function.
            needs: Seconds that it takes at least: it is skipped where fewer are left.
        """
        if self.left() <= needs:
            return dict(case, skipped=NO_TIME)
        try:
            return dict(case, **function(*arguments))
        except subprocess.TimeoutExpired as error:
            return dict(case, skipped=f'{NO_TIME}: stopped after {error.timeout:.0f} s')
        except Exception as error:
            if is_too_big(error):
                return dict(case, skipped=NO_MEMORY)
            return dict(case, error=traceback.format_exc())
        finally:
            gc.collect()
            import torch

            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()


def is_too_big(error: Exception) -> bool:
    """Whether an error says that the device is too small: PyTorch's, CUDA's, those of its libraries, or Triton's."""
    words = 'CUDA out of memory', 'CUDA error: out of memory', 'STATUS_ALLOC_FAILED', 'out of resource: '
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def start_method(device: str) -> SpawnContext | ForkServerContext:
    """How processes are started: on CUDA each from nothing; on a CPU as forks of one that has done the imports."""
    if device != 'cpu':
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['benchmarks.scene', 'mask2former.apis.run_config', 'mask2former.evaluation'])
    return context


def log_output(path: Path) -> None:
    """Have all that this process and its children print go to a file, what is written in C++ included."""
    with open(path, 'ab') as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
