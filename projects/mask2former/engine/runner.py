"""The runner: mmengine's, the data set's classes reach the model, and a checkpoint must fit it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from signal import Signals
from typing import Any
from urllib.error import URLError

import torch
from mmengine.device import get_device
from mmengine.dist import is_distributed, is_main_process
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, Runner, TestLoop, ValLoop
from torch import nn
from torch.utils.data import DataLoader

from mask2former.checkpoints.fit import check_finite, load_fitting
from mask2former.checkpoints.in_folder import SUFFIX
from mask2former.checkpoints.key_map import rename
from mask2former.checkpoints.schemes import loadable
from mask2former.checkpoints.sharded_folder import write_folder
from mask2former.checkpoints.shards import is_sharded, replace_shards, whole
from mask2former.datasets import config_metainfo
from mask2former.errors import CheckpointError, ConfigError
from mask2former.evaluation import show_dataset
from mask2former.evaluation.sample_fields import check_predicted
from mask2former.registry import MODEL_WRAPPERS, RUNNERS

from .allocator import keep_freed_memory
from .checkpoint_file import BackgroundWriter, assemble, read_whole, snapshot, write_whole
from .checkpoint_hook import SegCheckpointHook
from .earlier_training import mind_earlier_training, remove_halves
from .early_stopping_state import EarlyStoppingStateHook
from .find_resumable import find_resumable
from .fsdp import FSDP, GatherHook, check_offered, check_optimizer
from .lost_process import lost_process_explained
from .mean_loss_hook import MeanLossHook
from .nonfinite_hook import NonFiniteHook
from .other_classes_hook import OtherClassesHook
from .out_of_memory import OutOfMemoryHook
from .random_numbers import RandomNumbersHook
from .schedule_hook import ScheduleHook
from .sync_norm import share_statistics
from .terminal import quieten
from .terminal_hook import TerminalHook
from .training_state import checkpoint_fault
from .unwrap import unwrap_model
from .work_dir_lock import work_dir_lock
from .workers import bounded_workers

# Hooks that a runner of mmengine has where its config says nothing of them.
MMENGINE_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


@RUNNERS.register_module()
class SegRunner(Runner):
    """A runner whose model takes its classes from the data set, and which runs on CPU processes over gloo as well.

    A resumed training goes on with the images and the random numbers that the interrupted one would have had; see
    :class:`~mask2former.engine.random_numbers.RandomNumbersHook`.

    The arguments are those of :class:`mmengine.runner.Runner`.
    """

    _load_from: str | None
    checkpoint_writer: BackgroundWriter | None = None
    _has_weights = False  # whether the model was given its first weights before the optimizer was built

    def setup_env(self, env_cfg: dict) -> None:
        """Set up multi-processing and the distributed environment; without CUDA the processes talk over gloo.

        ``keep_freed_memory`` says whether a training changes the settings of the process's allocator.
        """
        self._keep_freed_memory = env_cfg.get('keep_freed_memory', True)
        if self.distributed and not is_distributed() and not torch.cuda.is_available():
            if self.launcher != 'pytorch':
                raise ConfigError(f"Without CUDA the launcher must be 'pytorch', not '{self.launcher}'.")
            torch.distributed.init_process_group(backend='gloo')
        super().setup_env(env_cfg)

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """Build the logger; with a ``TerminalHook`` the terminal shows less of it, from the first line on."""
        logger = super().build_logger(*args, **kwargs)
        if self.cfg.get('default_hooks', {}).get('terminal') is not None:
            quieten(logger)
        return logger

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """Register the hooks of ``default_hooks``; None leaves one out, whether mmengine knows its name or not."""
        given = hooks or {}
        super().register_default_hooks(
            {name: hook for name, hook in given.items() if hook is not None or name in MMENGINE_HOOKS}
        )

    def register_hooks(self, default_hooks: dict | None = None, custom_hooks: list | None = None) -> None:
        """Register the hooks of the config, and those that every run has."""
        super().register_hooks(default_hooks, custom_hooks)
        self.register_hook(RandomNumbersHook(), priority='VERY_HIGH')
        self.register_hook(MeanLossHook(), priority='HIGHEST')  # before mmengine's RuntimeInfoHook notes them
        self.register_hook(EarlyStoppingStateHook())
        self.register_hook(GatherHook())
        self.register_hook(ScheduleHook(), priority='VERY_HIGH')
        self._out_of_memory = OutOfMemoryHook()
        self.register_hook(self._out_of_memory)

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the model; ``metainfo`` comes from the data set unless the config gives it."""
        return super().build_model(self._with_metainfo(model) if isinstance(model, dict) else model)

    def _with_metainfo(self, model: dict) -> dict:
        """A model's config with the metainfo; around it may be one for test-time augmentation."""
        if isinstance(model.get('module'), dict):
            return dict(model, module=self._with_metainfo(model['module']))
        return model if model.get('metainfo') is not None else dict(model, metainfo=self.find_metainfo())

    def find_metainfo(self) -> dict:
        """Metainfo of the data that is validated, tested or trained on, the first of these that can be read."""
        return config_metainfo(
            dict(
                val_dataloader=self._val_dataloader,
                test_dataloader=self._test_dataloader,
                train_dataloader=self._train_dataloader,
            )
        )

    def build_dataloader(self, dataloader: DataLoader | dict, *args, **kwargs) -> DataLoader:
        """Build a dataloader and see that its classes are the model's; it has no more workers than there are cores."""
        if isinstance(dataloader, dict) and isinstance(workers := dataloader.get('num_workers'), int):
            dataloader = dict(dataloader, num_workers=bounded_workers(workers))
            if workers == 0:  # what only workers have: torch refuses it without them
                dataloader = {k: v for k, v in dataloader.items() if k not in ('persistent_workers', 'prefetch_factor')}
        loader = Runner.build_dataloader(dataloader, *args, **kwargs)
        # Starting to iterate draws a number. Not from the generator of the training: whether there was a validation
        # must not change what comes after it.
        loader.generator = torch.Generator()
        expected = getattr(unwrap_model(self.model), 'classes', None)
        classes = getattr(loader.dataset, 'metainfo', {}).get('classes')
        if expected is not None and classes is not None and tuple(classes) != tuple(expected):
            differing = next((pair for pair in zip(classes, expected) if pair[0] != pair[1]), None)
            detail = (
                f"'{differing[0]}' stands where the model has '{differing[1]}'" if differing else 'the counts differ'
            )
            raise ConfigError(
                f'The data set {getattr(loader.dataset, "ann_file", loader.dataset)} has {len(classes)} '
                f'classes, the model {len(expected)}, and {detail}: train, val and test must share one list of classes '
                '(set metainfo=dict(classes=[...]) in each dataset).'
            )
        return loader

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the loop; its metrics are shown the data set.

        Raises:
            ConfigError: If a metric measures what the model does not predict.
        """
        return self._show_dataset(super().build_val_loop(loop), 'val_evaluator')

    def build_test_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """As :meth:`build_val_loop`."""
        return self._show_dataset(super().build_test_loop(loop), 'test_evaluator')

    def _show_dataset(self, loop: BaseLoop, where: str) -> BaseLoop:
        if isinstance(loop, ValLoop | TestLoop):
            postprocessors = getattr(unwrap_model(self.model), 'postprocessors', None)
            if postprocessors is not None:
                check_predicted(loop.evaluator.metrics, postprocessors, where)
            show_dataset(loop.evaluator.metrics, loop.dataloader.dataset)
        return loop

    def build_param_scheduler(self, scheduler: dict | list) -> list:
        """Build the schedulers; a cosine without ``T_max`` decays until the last iteration, however many there are.

        It is left out of a training that ends before it begins.
        """
        schedulers = []
        for cfg in [scheduler] if isinstance(scheduler, dict) else scheduler:
            if isinstance(cfg, dict) and cfg.get('type') == 'CosineAnnealingLR' and 'T_max' not in cfg:
                begin, end = cfg.get('begin', 0), cfg.get('end', self.max_iters)
                if begin >= end:
                    continue
                cfg = dict(cfg, end=end, T_max=end - begin)
            schedulers.append(cfg)
        return super().build_param_scheduler(schedulers)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model for distributed training; on CPU processes it must not name a device.

        mmengine finds wrappers of its own only.
        """
        sync_bn = self.cfg.get('sync_bn')
        if self.distributed and model_wrapper_cfg is None and not torch.cuda.is_available():
            if sync_bn is not None:
                model = share_statistics(model, sync_bn)
            return MMDistributedDataParallel(module=model, broadcast_buffers=False)
        if model_wrapper_cfg is not None and not self.distributed:
            self.logger.info(f'One process has all of the model: {dict(model_wrapper_cfg)} changes nothing.')
        if self.distributed and model_wrapper_cfg and model_wrapper_cfg.get('type') in MODEL_WRAPPERS.module_dict:
            model = model.to(get_device())
            if sync_bn is not None:
                model = share_statistics(model, sync_bn)
            return MODEL_WRAPPERS.build(model_wrapper_cfg, default_args=dict(module=model))
        return super().wrap_model(model_wrapper_cfg, model)

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | dict) -> OptimWrapper:
        """Build the optimizer; if the model is to be sharded it is now, with the weights that it begins with.

        Raises:
            ConfigError: If the run has something that does not work with a sharded model.
        """
        if not isinstance(self.model, FSDP) or self.model.sharded:
            return super().build_optim_wrapper(optim_wrapper)
        check_offered(self)
        self._init_model_weights()
        if not self._resume:
            self.load_or_resume()
        self._has_weights = True
        self.model.shard()
        built = super().build_optim_wrapper(optim_wrapper)
        check_optimizer(built)
        return built

    def _maybe_compile(self, target: str) -> None:
        """Compile backbone, pixel decoder and head, if the config says ``compile=True`` or ``compile=dict(...)``.

        mmengine would compile all of ``target``: the loss, too, whose shapes change with the number of segments, and
        which reads values on the host. The names of the weights stay as they are.
        """
        options = self.cfg.get('compile')
        if not options:
            return
        model = unwrap_model(self.model)
        for part in ('backbone', 'pixel_decoder', 'head'):
            model.get_submodule(part).compile(**({} if options is True else options))
        self.logger.info('Backbone, pixel decoder and head are compiled in the first iterations, which take longer.')

    def dump_config(self) -> None:
        """Leave it to :meth:`train`, :meth:`val` and :meth:`test`: a training may be refused in its work directory."""

    @property
    def _is_training(self) -> bool:
        """Whether :meth:`train` was called: it builds the loop, which is a config until then."""
        return isinstance(self._train_loop, BaseLoop)

    def train(self) -> nn.Module:
        """Train; see :meth:`mmengine.runner.Runner.train`.

        Raises:
            ConfigError: If the work directory has checkpoints of an earlier training, which are not to be resumed, and
                the config does not say ``overwrite=True``.
            OutOfMemoryError: If memory runs out.
        """
        overwrite = self.cfg.pop('overwrite', False)  # so that the config in the work directory goes without it
        if self._keep_freed_memory:
            keep_freed_memory()
        with work_dir_lock(self.work_dir), self._running():
            remove_halves(self.work_dir)
            if not self._resume:
                mind_earlier_training(self.work_dir, overwrite)
            try:
                return super().train()
            finally:
                for hook in self.hooks:
                    if isinstance(hook, SegCheckpointHook):
                        hook.close()

    def val(self) -> dict[str, float]:
        """Validate; see :meth:`mmengine.runner.Runner.val`."""
        with self._running():
            return super().val()

    def test(self) -> dict[str, float]:
        """Test; see :meth:`mmengine.runner.Runner.test`."""
        with self._running():
            return super().test()

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Write the config, and explain and tidy up whatever way the run ends."""
        super().dump_config()
        try:
            with ExitStack() as explaining:
                explaining.enter_context(lost_process_explained(self._signal_received))
                explaining.enter_context(self._out_of_memory.explained(self))
                for hook in self.hooks:
                    if isinstance(hook, NonFiniteHook):
                        explaining.enter_context(hook.explained(self))
                yield
        finally:
            for hook in self.hooks:
                if isinstance(hook, TerminalHook):
                    hook.close()

    def _signal_received(self) -> Signals | None:
        """The signal that ends the training, if one came."""
        received = (hook.received for hook in self.hooks if isinstance(hook, SegCheckpointHook))
        return next((number for number in received if number is not None), None)

    def _init_model_weights(self) -> None:
        """Initialise the weights, unless a training is resumed: its checkpoint has all of them, and the backbone's
        need not be fetched. A model that is sharded has them."""
        if self._has_weights:
            return
        if self._resume and self._load_from is None and not self._has_loaded:
            self._load_from = find_resumable(self.work_dir)
        if not self._resume or (self._load_from is None and not self._has_loaded):
            try:
                super()._init_model_weights()
            except (URLError, ConnectionError, TimeoutError) as error:
                backbone = (self.cfg.get('model') or {}).get('backbone') or {}
                address = (backbone.get('init_cfg') or {}).get('checkpoint', 'another machine')
                raise CheckpointError(
                    f"The weights that the backbone begins with cannot be fetched from '{address}' ({error}): check "
                    'the network, or fetch the file elsewhere and set model.backbone.init_cfg.checkpoint to its path.'
                ) from error

    def load_or_resume(self) -> None:
        """Load or resume the checkpoint that the config names, or resume the last one of the work directory.

        ``load_from`` may name a checkpoint of any format. Where it was trained on other classes,
        ``load_equal_classes=True`` copies the classifier's rows of the classes with equal names.
        """
        if self._resume and self._load_from is None and not self._has_loaded:
            self._load_from = find_resumable(self.work_dir)
            if self._load_from is None:
                self.logger.info(f'{self.work_dir} has no checkpoint to resume: training starts from the beginning.')
                return
        if not self._resume and self._load_from is not None and not self._has_loaded:
            self._load_from = loadable(self._load_from)
            if self._is_training:
                # Before EMAHook, which loads what this one has changed.
                self.register_hook(OtherClassesHook(self.cfg.get('load_equal_classes', False)), priority='ABOVE_NORMAL')
        super().load_or_resume()

    def load_checkpoint(
        self,
        filename: str,
        map_location: str | Callable = 'cpu',
        strict: bool = False,
        revise_keys: Sequence[tuple[str, str]] = ((r'^module\.', ''),),
    ) -> dict:
        """Load weights; see :meth:`mmengine.runner.Runner.load_checkpoint`, which would list the names of all weights
        that do not fit before anything can be said of them.

        Raises:
            CheckpointError: If the checkpoint cannot be read, has weights that are not finite, or does not fit the
                model; only what training starts from (``load_from``) may do so in part, unless ``strict``.
        """
        checkpoint = read_whole(filename, map_location)
        if self._resume and not {'meta', 'message_hub', 'optimizer'} <= set(checkpoint):
            raise CheckpointError(
                f"'{filename}' holds weights but no state of a training, so it cannot be resumed: "
                'start from it with load_from.'
            )
        if (field := checkpoint_fault(checkpoint, self._resume)) is not None:
            raise CheckpointError(
                f"'{filename}' is damaged: its '{field}' is not what a training saves; take another checkpoint."
            )
        # Of old checkpoints it is a config file's text, which mmengine would run as Python when it resumes.
        (checkpoint.get('meta') or {}).pop('config', None)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model = unwrap_model(self.model)
        state = rename(checkpoint.get('state_dict', checkpoint), revise_keys)
        partly = self._is_training and not self._resume and not strict
        rest, unknown = load_fitting(model, state, filename, partly=partly)
        check_finite(model, filename)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        if rest is not None:
            self.logger.warning(f"Of '{filename}' only a part is loaded: {rest}. The rest starts from scratch.")
        elif unknown:
            self.logger.warning(
                f"'{filename}' has {len(unknown)} weights more, such as '{unknown[0]}', which are not loaded."
            )
        classes = (checkpoint.get('meta', {}).get('dataset_meta') or {}).get('classes')
        expected = getattr(model, 'classes', None)
        if rest is None and classes and expected and tuple(classes) != tuple(expected):
            self.logger.warning(f"'{filename}' was trained on other classes: {', '.join(classes)}.")
        return checkpoint

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict | None = None,
        *args: Any,
        backend_args: dict | None = None,
        **kwargs: Any,
    ) -> None:
        """Save a checkpoint; see :meth:`mmengine.runner.Runner.save_checkpoint`.

        On a local disk it is there whole or not at all, also when the machine loses its power; ``checkpoint_writer``
        writes it while the training goes on, after what it had to write before. Of a sharded model all processes must
        call it: the first one writes the whole weights, or, where ``filename`` ends in ``.dcp``, each its part.

        Raises:
            ConfigError: If a sharded model is to be saved elsewhere than on a disk.
        """
        sharded = is_sharded(self.model)
        if not sharded and not is_main_process():
            return
        if file_client_args or backend_args or '://' in str(out_dir):
            if sharded:
                raise ConfigError(
                    "With model_wrapper_cfg=dict(type='FSDP') checkpoints are saved on disks only: set out_dir of "
                    'default_hooks.checkpoint to a folder, without backend_args.'
                )
            super().save_checkpoint(out_dir, filename, file_client_args, *args, backend_args=backend_args, **kwargs)
            return
        writer, path = self.checkpoint_writer, Path(out_dir) / filename
        if writer is not None:
            writer.wait()
        checkpoint = assemble(self, out_dir, filename, *args, **kwargs)
        if sharded and path.suffix == SUFFIX:
            write_folder(checkpoint, path)
            return
        if sharded:
            checkpoint = replace_shards(checkpoint, lambda keys, shard: whole(shard))
            if not is_main_process():
                return
        if writer is None:
            write_whole(checkpoint, path)
        else:
            writer.submit(partial(write_whole, snapshot(checkpoint), path))

    def resume(self, filename: str, *args, **kwargs) -> None:
        """Resume a training; see :meth:`mmengine.runner.Runner.resume`.

        Raises:
            CheckpointError: If the checkpoint cannot be read, does not fit the model, or holds weights only.
        """
        self._resume = True
        if is_sharded(self.model):
            kwargs.setdefault('map_location', 'cpu')  # a device may not have room for the whole
        super().resume(filename, *args, **kwargs)
        self.logger.info(f"The training of '{filename}' goes on after iteration {self.iter}.")
