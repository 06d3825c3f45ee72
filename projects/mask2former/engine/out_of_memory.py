"""Says what to lower where memory runs out, instead of a page of traceback."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mask2former.errors import OutOfMemoryError

from .batch import tensors_in


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error is that of torch, on any device, or of Python where there is not enough memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = ("can't allocate memory", 'not enough memory', 'out of memory', 'STATUS_ALLOC_FAILED')
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def asked_for(error: BaseException) -> str:
    """How much memory was asked for, as the message says; '' where it does not."""
    found = re.search(r'tried to allocate ([\d.]+) (\w+)', str(error), re.I)
    if found is None:
        return ''
    if found[2] != 'bytes':
        return f'{found[1]} {found[2]}'
    return f'{float(found[1]) / 2**30:.2f} GiB'


def describe_batch(batch: Any) -> tuple[int, str]:
    """The number of images in a batch of a data loader, and a description: '2 images of 1024 x 768 pixels'."""
    inputs = batch.get('inputs') if isinstance(batch, dict) else None
    count = len(inputs) if isinstance(inputs, list | Tensor) else 0
    sizes = [tuple(image.shape[-2:]) for image in tensors_in(inputs)]
    if not sizes:
        return count, 'a batch of unknown size'
    height, width = (max(side) for side in zip(*sizes))
    images = f'{count} images of up to' if count > 1 else 'one image of'
    return count, f'{images} {height} x {width} pixels'


class OutOfMemoryHook(Hook):
    """Notes what a run is at, so that an error for lack of memory can name it."""

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._split, self._iteration = '', 0
        self._batch = (0, '')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Note the batch."""
        self._note('train', runner.iter, data_batch)

    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Note the batch."""
        self._note('val', batch_idx, data_batch)

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Note the batch."""
        self._note('test', batch_idx, data_batch)

    def _note(self, split: str, iteration: int, batch: Any) -> None:
        self._split, self._iteration = split, iteration
        self._batch = describe_batch(batch)

    @contextmanager
    def explained(self, runner: Runner) -> Iterator[None]:
        """In it, an error for lack of memory becomes one sentence; the log file keeps its traceback.

        Raises:
            OutOfMemoryError: If memory runs out.
        """
        try:
            yield
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            record = runner.logger.makeRecord(
                runner.logger.name, logging.ERROR, __file__, 0, 'Out of memory', (), sys.exc_info()
            )
            for handler in runner.logger.handlers:
                if isinstance(handler, logging.FileHandler):
                    handler.handle(record)
            raise OutOfMemoryError(self._sentence(error)) from error

    def _sentence(self, error: BaseException) -> str:
        size = asked_for(error)
        tried = f', asking for {size}' if size else ''
        if not self._split:
            return f'Memory ran out before the first batch{tried}: take a smaller model.'
        count, images = self._batch
        lower = [f'{self._split}_dataloader.batch_size (now {count})'] if count > 1 else []
        if self._split == 'train':
            lower.append("the crop size of the training's pipeline")
            more = '; or set model.backbone.with_cp=True, or give --amp'
        else:
            lower.append(f"the image size of the {self._split} pipeline's Resize")
            more = ''
        return (
            f'Memory ran out in iteration {self._iteration + 1} of {self._split}, with {images}{tried}: lower '
            f'{" or ".join(lower)}{more}.'
        )
