"""Saves checkpoints at intervals, and once more when the training is interrupted."""

import logging
import operator
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, is_distributed, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mask2former.checkpoints.in_folder import SUFFIX
from mask2former.checkpoints.shards import is_sharded
from mask2former.errors import ConfigError
from mask2former.registry import HOOKS

from .checkpoint_file import BackgroundWriter
from .run_summary import shown_path


class _RemovesLater:
    """A file backend that notes what is to be removed, and how."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.waiting: list[tuple[Callable[[str], None], str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.waiting.append((self._backend.remove, path))

    def rmtree(self, path: str) -> None:
        self.waiting.append((self._backend.rmtree, path))


@HOOKS.register_module()
class SegCheckpointHook(CheckpointHook):
    """mmengine's hook; Ctrl-C and SIGTERM let the running iteration end, save a checkpoint, and then end the training.

    That holds where checkpoints count iterations (``by_epoch=False``). An expired checkpoint is removed when the new
    one is written.

    Args:
        background: Whether a checkpoint on a local disk is copied in memory, and written while the training goes on.
            The next checkpoint and the end of the training, by a signal, too, wait until it is written, and an error of
            the writing is raised there. It takes as much main memory as the checkpoint is large. ``last_checkpoint``
            names the file a moment before it is there.
        sharded: Whether each process writes its part of a model that is sharded, all into a folder ``iter_*.dcp``.
            Otherwise, and where the model is not sharded, the first process writes a file.
        args: Those of :class:`mmengine.hooks.CheckpointHook`, by position.
        kwargs: The same by name.

    Raises:
        ConfigError: If parts are to be written in the background.
    """

    file_backend: Any
    filename_tmpl: str
    # Of equally good checkpoints the last one is the best, as it was trained longest: until something is found, all
    # have 0.
    rule_map = {'greater': operator.ge, 'less': operator.le}
    # `save_best` of any metric of this package needs no `rule='greater'`.
    _default_greater_keys = [*CheckpointHook._default_greater_keys, 'PQ', 'SQ', 'RQ', 'AP', 'IoU']

    def __init__(self, *args, background: bool = False, sharded: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if sharded and (background or self.published_keys is not None):
            other = 'background' if background else 'published_keys'
            raise ConfigError(f'default_hooks.checkpoint: sharded=True does not work with {other}; leave out one.')
        self.sharded = sharded
        self._writer = BackgroundWriter() if background else None
        self.received: signal.Signals | None = None  # a signal that ends the training
        self._former_handlers: dict[signal.Signals, Any] = {}

    def _save_checkpoint_with_step(self, *args, **kwargs) -> None:
        with self._saving_before_removing():
            super()._save_checkpoint_with_step(*args, **kwargs)

    @contextmanager
    def _saving_before_removing(self) -> Iterator[None]:
        """mmengine removes an expired checkpoint before it saves the new one: here a killed process leaves one."""
        self._finish_writing()  # only what is there is removed
        backend = self.file_backend
        self.file_backend = later = _RemovesLater(backend)
        try:
            yield
        finally:
            self.file_backend = backend
        saved = {self.last_ckpt, getattr(self, 'best_ckpt_path', None)}
        saved |= set(getattr(self, 'best_ckpt_path_dict', {}).values())
        for remove, path in later.waiting:
            if path not in saved:
                if self._writer is None:
                    remove(path)
                else:
                    self._writer.submit(partial(remove, path))

    def before_train(self, runner: Runner) -> None:
        """Listen to the signals."""
        if self.sharded and is_sharded(runner.model):
            self.filename_tmpl = self.filename_tmpl.removesuffix('.pth') + SUFFIX
        super().before_train(runner)
        runner.checkpoint_writer = self._writer
        self.received = None
        # Python lets no thread but the main one listen. Within an epoch no training can be resumed.
        if threading.current_thread() is threading.main_thread() and not self.by_epoch:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former_handlers[number] = signal.signal(number, self._receive)

    def after_train(self, runner: Runner) -> None:
        """Listen no longer; what is being written is written."""
        self.stop_listening()
        self._finish_writing()
        super().after_train(runner)

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Save where it is time to, and where a signal came."""
        former = self.last_ckpt
        super().after_train_iter(runner, *args, **kwargs)
        if self.last_ckpt != former:
            print_log(f'Checkpoint: {shown_path(self.last_ckpt)}', 'current')
        sharded = is_sharded(runner.model)
        received = self._agreed() if sharded else self.received
        # The first process saves; the others keep up with it until it ends, as its iteration needs them. A sharded
        # model is saved by all.
        if received is None or not (sharded or is_main_process()):
            return
        self._save_checkpoint(runner)
        self._finish_writing()
        print_log(
            f'{received.name} came: iteration {runner.iter + 1} is saved in {self.last_ckpt}; go on from '
            'there with --resume.',
            'current',
            logging.WARNING,
        )
        raise SystemExit(128 + received)

    def _agreed(self) -> signal.Signals | None:
        """The signal that came to any of the processes; all of them must ask for it."""
        number = torch.tensor(0 if self.received is None else int(self.received))
        all_reduce(number, 'max')
        return signal.Signals(int(number)) if number else None

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Save where a metric is better than before, and say so."""
        former = dict(runner.message_hub.runtime_info)
        with self._saving_before_removing():
            super()._save_best_checkpoint(runner, metrics)
        for key, path in runner.message_hub.runtime_info.items():
            if key.startswith('best_ckpt') and former.get(key) != path:
                print_log(f'Best checkpoint so far: {shown_path(path)}', 'current')

    def _receive(self, number: int, frame: FrameType | None) -> None:
        # A launcher passes on what the terminal has sent already, so twice means nothing there.
        if self.received is not None and not is_distributed():
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        print_log(
            f'{self.received.name} came: a checkpoint is saved after this iteration (a second signal ends the '
            'training at once).',
            'current',
            logging.WARNING,
        )

    def close(self) -> None:
        """End what was begun, however the training ended: ``SegRunner`` does so when it ends by an error, too."""
        self.stop_listening()
        try:
            self._finish_writing()
        except Exception as error:  # that of the training is on its way, and is not to be hidden by this one
            print_log(f'{self.last_ckpt} could not be written ({error}).', 'current', logging.ERROR)

    def _finish_writing(self) -> None:
        if self._writer is not None:
            self._writer.wait()

    def stop_listening(self) -> None:
        """Give the signals back."""
        for number, handler in self._former_handlers.items():
            signal.signal(number, handler)
        self._former_handlers = {}
