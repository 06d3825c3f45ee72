"""Keeps a second training out of a work directory in which one is running."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from mmengine.dist import broadcast_object_list, is_main_process

from mask2former.errors import ConfigError


@contextmanager
def work_dir_lock(work_dir: str | Path) -> Iterator[None]:
    """Hold the lock of a work directory in this context; the first process of a distributed training does.

    The operating system gives it back when the process ends, however it ends. On a file system without locks nothing
    is kept out.

    Raises:
        ConfigError: In all processes, if another training holds it.
    """
    lock = FileLock(Path(work_dir) / '.training.lock')
    refusal: list[str | None] = [_acquire(lock, Path(work_dir)) if is_main_process() else None]
    broadcast_object_list(refusal)
    if refusal[0] is not None:
        raise ConfigError(refusal[0])
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, work_dir: Path) -> str | None:
    """Take the lock and note who has it; where it is taken, a sentence with the note."""
    note = work_dir / '.training.json'  # taking a lock empties the file of the lock
    try:
        lock.acquire(timeout=0)
    except Timeout:
        try:
            holder = '(process {process} on {host}, since {since})'.format(**json.loads(note.read_text()))
        except (OSError, TypeError, ValueError, LookupError):
            holder = ''
        return (
            f"Another training {holder} is running in '{work_dir}': wait for its end, or give this one another folder "
            'with --work-dir.'
        )
    except (OSError, NotImplementedError):
        return None
    since = time.strftime('%Y-%m-%d %H:%M:%S')
    note.write_text(json.dumps(dict(process=os.getpid(), host=socket.gethostname(), since=since)))
    return None
