"""The state of the random number generators, as plain values that a checkpoint may hold, and the hook that keeps it."""

import logging
import random

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.runner.utils import set_random_seed
from torch.utils.data import Sampler

from .run_summary import images_per_batch


def get_random_state() -> dict:
    """The state of Python's, numpy's and torch's generators in this process, and of the current GPU's."""
    state = dict(python=random.getstate(), numpy=np.random.get_state(), torch=torch.get_rng_state())
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict) -> None:
    """Set what :func:`get_random_state` gave; its tensors may have been moved to a GPU."""
    random.setstate(state['python'])
    np.random.set_state(state['numpy'])
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


class RandomStateHook(Hook):
    """Keeps the random state and the sampler's seed in checkpoints, and sets them when a training is resumed.

    The number of images of an iteration is kept, too: where it is another one, what was seen and what comes are other
    images than those of an uninterrupted training, which is said in a line.

    The generators of dataloader workers and of processes other than the first are not kept, but seeded by the
    iteration.
    """

    def __init__(self) -> None:
        self._resumed_meta: dict | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the state to the checkpoint's ``meta``."""
        checkpoint['meta'].update(
            random_state=get_random_state(),
            sampler_seed=getattr(_train_sampler(runner), 'seed', None),
            images_per_iteration=_images_per_iteration(runner),
        )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note what a checkpoint to resume says."""
        if runner._resume:
            self._resumed_meta = checkpoint.get('meta') or {}

    def before_train(self, runner: Runner) -> None:
        """Set the state, where a training is resumed: from here on the numbers are those of the interrupted one."""
        if self._resumed_meta is None:
            return
        meta, self._resumed_meta = self._resumed_meta, None
        before, now = meta.get('images_per_iteration'), _images_per_iteration(runner)
        if before and now and before != now:
            print_log(
                f'An iteration had {before} images and now has {now}: training goes on after iteration {runner.iter} '
                'as if it had always been so; learning rate and max_iters are those of the config.',
                'current',
                logging.WARNING,
            )
        sampler = _train_sampler(runner)
        if meta.get('sampler_seed') is not None and hasattr(sampler, 'seed'):
            sampler.seed = meta['sampler_seed']
        if runner.rank == 0 and 'random_state' in meta:
            set_random_state(meta['random_state'])
        else:
            set_random_seed(runner.seed + runner.iter + runner.rank)


def _train_sampler(runner: Runner) -> Sampler:
    """What gives the training images their order."""
    dataloader = runner.train_dataloader
    return getattr(dataloader.batch_sampler, 'sampler', dataloader.sampler)


def _images_per_iteration(runner: Runner) -> int | None:
    """The images of an iteration, of all processes together; None where the dataloader does not say."""
    size = images_per_batch(runner.train_dataloader)
    return size and size * runner.world_size
