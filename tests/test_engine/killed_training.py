"""Trains, and is killed at the moment that it is given: ``python killed_training.py CONFIG WORK_DIR MOMENT OPTIONS``.

Moments are counted: each file of the work directory that is opened to be written, renamed or removed, each step of the
optimizer and each image of a validation is one, and the process ends before it. At 0 it is not killed.
"""

import json
import os
import signal
import sys

import torch

from mask2former.evaluation import PanopticQuality
from tests.tiny import train

config, work_dir, moment, options = sys.argv[1:]
count = 0


def tick() -> None:
    """The next moment has come."""
    global count
    count += 1
    if count == int(moment):
        os.kill(os.getpid(), signal.SIGKILL)


def watch(event: str, arguments: tuple) -> None:
    """An audit hook."""
    if event not in ('open', 'os.rename', 'os.remove') or not str(arguments[0]).startswith(work_dir):
        return
    if event != 'open' or arguments[2] & (os.O_WRONLY | os.O_RDWR):
        tick()


def ticking(owner: type, name: str) -> None:
    """Make each call of a method a moment."""
    method = getattr(owner, name)

    def counted(*args, **kwargs):
        tick()
        return method(*args, **kwargs)

    setattr(owner, name, counted)


sys.addaudithook(watch)
ticking(torch.optim.AdamW, 'step')
ticking(PanopticQuality, 'process')
train(config, work_dir=work_dir, **json.loads(options))
print(f'moments: {count}')
