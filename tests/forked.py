"""Runs Python scripts in processes of their own, without the seconds that each spends on imports.

A server process imports once what the tools need, and forks itself for each script, so that a script begins with fresh
state. What a real start costs and does is tested by name (tests/test_package.py, tests/test_tools/test_scripts.py).
"""

import functools
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np

import mask2former
from tests import quicker
from tests.tools import free_port

PRELOADED = [
    'mask2former.apis.run_config',
    'mask2former.apis.inferencer',
    'mask2former.apis.video_inferencer',
    'mask2former.engine',
    'mask2former.evaluation',
    'mask2former.visualization',
    # What configs name:
    'mmdet.engine',
    'mmdet.evaluation',
    'mmdet.models',
    'mmdet.visualization',
    'matplotlib.pyplot',
    'torch.utils.tensorboard',
    'torch._dynamo',  # by optimizers
    'torch.distributed.fsdp',
    'tests.forked',
]


def run_forked(*command: str | Path, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess:
    """Run a Python script with its arguments; gives its exit status, and what it printed and said as errors."""
    [done] = run_forked_ranks(1, *command, cwd=cwd, **env)
    return done


def run_forked_ranks(
    count: int, *command: str | Path, cwd: Path | None = None, **env: str
) -> list[subprocess.CompletedProcess]:
    """As :func:`run_forked`, in several processes at once, which are told of each other as torchrun does it.

    Tools among them get ``--launcher pytorch``.
    """
    words = [str(word) for word in command]
    if count > 1:
        env |= dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=free_port(), WORLD_SIZE=str(count))
        words += ['--launcher', 'pytorch'] if Path(words[0]).name in ('train.py', 'test.py') else []
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for rank in range(count):
            ranked = dict(env, RANK=str(rank), LOCAL_RANK=str(rank)) if count > 1 else env
            printed = [f'{folder}/{rank}.{stream}' for stream in ('out', 'err')]
            arguments = (words, str(cwd or Path.cwd()), dict(os.environ, **ranked), printed, mask2former.__file__)
            processes.append(fork_server().Process(target=_run, args=arguments))
        for process in processes:
            process.start()
        for process in processes:
            process.join(timeout=300)
            if process.is_alive():
                process.kill()
        return [
            subprocess.CompletedProcess(
                words, process.exitcode, *(Path(folder, f'{rank}.{stream}').read_text() for stream in ('out', 'err'))
            )
            for rank, process in enumerate(processes)
        ]


def run_in_two(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function in two processes, with its rank and a port that they may meet at before its arguments."""
    port = free_port()
    processes = [fork_server().Process(target=function, args=(rank, port, *arguments)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        process.kill()


@functools.cache
def fork_server() -> ForkServerContext:
    """Processes of this context begin with :data:`PRELOADED` imported."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(PRELOADED)
    return context


def _run(words: list[str], cwd: str, env: dict[str, str], printed: list[str], package: str) -> None:
    """In the process: become the script."""
    for file, descriptor in zip(printed, (1, 2)):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdout = open(1, 'w', closefd=False)
    sys.stderr = open(2, 'w', buffering=1, closefd=False)
    assert mask2former.__file__ == package, f'{mask2former.__file__} was imported, not {package}'
    np.random.seed()  # or every process would draw the same
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv[:] = words
    sys.path.insert(0, str(Path(words[0]).resolve().parent))
    runpy.run_path(words[0], run_name='__main__')


quicker.freeze_imports()  # in the server: a process that collects garbage itself copies the memory that it shares
