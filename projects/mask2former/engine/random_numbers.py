"""Random numbers that depend on the seed and on what they are for, not on what was drawn before.

An image is augmented, and its masks are sampled at points, by the numbers of its place in the stream of all images,
whichever worker or process has it; what else is drawn (dropout) is by the numbers of the iteration and the process. So
a training goes on exactly, with any number of workers, and nothing of a generator's state has to be kept; and without
dropout several processes do what one does.
"""

import logging
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset, Sampler

from .run_summary import images_per_batch


def seed_generators(*numbers: int) -> None:
    """Seed Python's, numpy's and torch's generators, those of GPUs too, by whole numbers from 0 on."""
    words = np.random.SeedSequence(numbers).generate_state(4, np.uint64).tolist()
    random.seed(words[0])
    np.random.seed(words[1] % 2**32)
    torch.manual_seed(words[2] % 2**63)


class SeededSamples(Dataset):
    """A data set whose sample is drawn with the random numbers of its place in the stream.

    Its data sample has a number of the place, too, as ``seed``, for what the model draws for it.

    What else it is asked for, it takes from the data set.

    Args:
        dataset: Takes an index.
        seed: Of the training.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> Any:
        place, index = key
        seed_generators(self.seed, 0, place)
        item = self.dataset[index]
        if isinstance(item, dict) and isinstance(item.get('data_samples'), BaseDataElement):
            [word] = np.random.SeedSequence((self.seed, 2, place)).generate_state(1, np.uint64).tolist()
            item['data_samples'].set_metainfo(dict(seed=word % 2**62))
        return item

    def __getattr__(self, name: str) -> Any:
        if name == 'dataset' or name.startswith('__'):  # while it is unpickled there is no data set yet
            raise AttributeError(name)
        return getattr(self.dataset, name)


class PlacedBatches:
    """The batches of a batch sampler, each index with its place in the stream of all processes.

    The place of the i-th index of a process is ``i * world_size + rank``, as ``InfiniteSampler`` deals them out. What
    else it is asked for, it takes from the batch sampler.

    Args:
        batch_sampler: Gives lists of indices.
        skipped: How many of its first batches are left out.
    """

    def __init__(self, batch_sampler: Any, skipped: int = 0) -> None:
        self.batch_sampler, self.skipped = batch_sampler, skipped
        self._drawn = 0  # over all epochs

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rank, world_size = get_dist_info()
        for batch in self.batch_sampler:
            first = self._drawn
            self._drawn += len(batch)
            if self.skipped:
                self.skipped -= 1
            else:
                yield [((first + i) * world_size + rank, index) for i, index in enumerate(batch)]

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.batch_sampler, name)


class RandomNumbersHook(Hook):
    """Seeds the generators of each iteration, and keeps the sampler's seed in checkpoints.

    The number of images of an iteration is kept, too: where it is another one, what was seen and what comes are other
    images than those of an uninterrupted training, which is said in a line.
    """

    def __init__(self) -> None:
        self._resumed_meta: dict | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the sampler's seed and the number of images to the checkpoint's ``meta``."""
        checkpoint['meta'].update(
            sampler_seed=getattr(_train_sampler(runner), 'seed', None),
            images_per_iteration=_images_per_iteration(runner),
        )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note what a checkpoint to resume says."""
        if runner._resume:
            self._resumed_meta = checkpoint.get('meta') or {}

    def before_train(self, runner: Runner) -> None:
        """Where a training is resumed, give the images the order that they had."""
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

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the generators by the iteration and the process."""
        seed_generators(*iteration_numbers(runner, batch_idx))


def iteration_numbers(runner: Runner, iteration: int) -> tuple[int, int, int, int]:
    """What :func:`seed_generators` is given for an iteration of this process."""
    return runner.seed, 1, iteration, runner.rank


def _train_sampler(runner: Runner) -> Sampler:
    """What gives the training images their order."""
    dataloader = runner.train_dataloader
    return getattr(dataloader.batch_sampler, 'sampler', dataloader.sampler)


def _images_per_iteration(runner: Runner) -> int | None:
    """The images of an iteration, of all processes together; None where the dataloader does not say."""
    size = images_per_batch(runner.train_dataloader)
    return size and size * runner.world_size
