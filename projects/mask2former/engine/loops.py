"""The training loop: a resumed run goes on at once, with the images that the interrupted one would have seen."""

import logging
from collections.abc import Iterator

from mmengine.dataset import InfiniteSampler
from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator
from mmengine.runner.utils import calc_dynamic_intervals
from torch import nn
from torch.utils.data import DataLoader

from mask2former.errors import ConfigError
from mask2former.registry import LOOPS

from .optim_wrapper import iterations_per_step
from .random_numbers import PlacedBatches, SeededSamples
from .whole_steps import WholeSteps


@LOOPS.register_module()
class SegIterTrainLoop(IterBasedTrainLoop):
    """Iteration-based training that, when resumed, skips in the sampler.

    mmengine's loop loads all the batches again that were trained on before (open-mmlab/mmengine#1520): hours in a long
    training. This one does so only for samplers other than ``InfiniteSampler``, with which it cannot skip. A
    ``batch_sampler`` over it, such as ``AspectRatioBatchSampler``, chooses its batches again, and no image is loaded.

    Where the optimizer wrapper accumulates gradients, those of a step are the gradients of one large batch, see
    :class:`.WholeSteps`.

    Args:
        runner: The runner.
        dataloader: Dataloader, or its config.
        max_iters: Iterations in all.
        val_begin: The first iteration after which to validate.
        val_interval: Iterations from one validation to the next.
        dynamic_intervals: Pairs of an iteration and the interval from there on.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        max_iters: int,
        val_begin: int = 1,
        val_interval: int = 1000,
        dynamic_intervals: list[tuple[int, int]] | None = None,
    ) -> None:
        if max_iters != int(max_iters) or max_iters < 1:
            raise ConfigError(f'max_iters must be a whole number of iterations from 1 on, not {max_iters}')
        for interval in (val_interval, *(interval for _, interval in dynamic_intervals or ())):
            if interval != int(interval) or interval < 1:
                raise ConfigError(
                    f'train_cfg.val_interval and the intervals of dynamic_intervals must be whole numbers of '
                    f'iterations from 1 on, not {interval}: to train without validation, set val_cfg, val_dataloader '
                    'and val_evaluator to None.'
                )
        # The parent's constructor is passed over: it starts the workers on the first images, before a checkpoint says
        # which images come first.
        super(IterBasedTrainLoop, self).__init__(runner, dataloader)
        self._max_iters = int(max_iters)
        self._max_epochs = 1
        self._epoch = 0
        self._iter = 0
        self.val_begin = val_begin
        self.val_interval = val_interval
        self.stop_training = False
        self.runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, 'metainfo', None)
        self.dynamic_milestones, self.dynamic_intervals = calc_dynamic_intervals(val_interval, dynamic_intervals)

    def run(self) -> nn.Module:
        """Train until ``max_iters``, and validate in between.

        Raises:
            ConfigError: If the resumed training is past ``max_iters``.
        """
        if self._iter > self._max_iters:
            raise ConfigError(
                f'The checkpoint is of iteration {self._iter}, but train_cfg.max_iters is {self._max_iters}: raise '
                'max_iters to train on, or test the checkpoint as it is.'
            )
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        if self._iter > 0:
            self._decide_current_val_interval()
            self._validate_where_due()  # the training may have ended before this validation did
        if self._iter == self._max_iters:
            print_log(
                f'Iteration {self._iter} is reached already, and max_iters is {self._max_iters}: nothing is left '
                'to train.',
                'current',
                logging.WARNING,
            )
        else:
            self.dataloader_iterator = self._batches()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._decide_current_val_interval()
            self._validate_where_due()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _validate_where_due(self) -> None:
        """Validate, if this is an iteration after which it is time to."""
        if (
            self.runner.val_loop is not None
            and self._iter >= self.val_begin
            and (self._iter % self.val_interval == 0 or self._iter == self._max_iters)
        ):
            self.runner.val_loop.run()

    def _batches(self) -> Iterator[dict]:
        """The batches from this iteration on."""
        per_step = iterations_per_step(self.runner.optim_wrapper)
        if per_step == 1:
            return self._batches_from(self._iter)
        within = self._iter % per_step  # iterations of a step that were trained on before
        first = self._iter - within
        batches = WholeSteps(self._batches_from(first), per_step, first, lambda: self._max_iters)
        for _ in range(within):
            next(batches)
        return batches

    def _batches_from(self, iteration: int) -> _InfiniteDataloaderIterator:
        """Start the dataloader with the batch of an iteration; each image has the random numbers of its place."""
        loader = self.dataloader
        sampler = getattr(loader.batch_sampler, 'sampler', None)
        skips = isinstance(sampler, InfiniteSampler)
        # The data loader refuses another batch sampler or data set, for its workers may run already; they do not yet.
        object.__setattr__(
            loader, 'batch_sampler', PlacedBatches(loader.batch_sampler, skipped=iteration if skips else 0)
        )
        object.__setattr__(loader, 'dataset', SeededSamples(loader.dataset, self.runner.seed))
        batches = _InfiniteDataloaderIterator(loader)
        if iteration and not skips:
            print_log(
                f'{iteration} batches are loaded again to get past the images that were trained on before, which may '
                f"take long, as the sampler is {type(sampler).__name__}: use sampler=dict(type='InfiniteSampler'), "
                'with any batch_sampler, to skip them.',
                'current',
                logging.WARNING,
            )
            for _ in range(iteration):
                next(batches)
        return batches
