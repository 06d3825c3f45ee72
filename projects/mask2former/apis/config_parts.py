"""Holds the parts of a run in a config, at any depth, against what they take; see :mod:`.config_check`."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing
from torch.utils.data import DataLoader

from mask2former.engine.optim_constructor import SegOptimWrapperConstructor
from mask2former.engine.runner import MMENGINE_HOOKS
from mask2former.errors import ConfigError, near_names
from mask2former.models.sliding_window import SlidingWindow
from mask2former.models.video import QueryTracker

from .registered import REGISTRIES, find, names_in
from .signatures import ANYTHING, Arguments, arguments_of

# Keys of mappings that name no type.
KEYS = dict(
    auto_scale_lr=('enable', 'base_batch_size'),
    custom_imports=('imports', 'allow_failed_imports'),
    env_cfg=('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit', 'keep_freed_memory'),
    randomness=arguments_of(Runner.set_randomness).names - {'self'},
)
# mmengine's name for the registry at each place, what the runner adds there, and the type where none is named.
PARTS = dict(
    model=('MODELS', None, None),
    tta_model=('MODELS', None, None),
    tile_model=('MODELS', None, 'SegTileModel'),
    data_preprocessor=('MODELS', None, None),
    model_wrapper_cfg=('MODEL_WRAPPERS', None, 'MMDistributedDataParallel'),
    visualizer=('VISUALIZERS', (), None),
    log_processor=('LOG_PROCESSORS', (), 'LogProcessor'),
    val_cfg=('LOOPS', ('runner', 'dataloader', 'evaluator'), 'ValLoop'),
    test_cfg=('LOOPS', ('runner', 'dataloader', 'evaluator'), 'TestLoop'),
)
LOADER_KEYS = (*('num_batch_per_epoch', 'disable_subprocess_warning'), *arguments_of(DataLoader).names)
# Where to look for a type first that is named inside a part of a registry; then everywhere.
INSIDE = dict(
    MODELS=('MODELS', 'TASK_UTILS'),
    TASK_UTILS=('TASK_UTILS', 'MODELS'),
    DATASETS=('DATASETS', 'TRANSFORMS'),
    EVALUATOR=('METRICS',),
    VISUALIZERS=('VISBACKENDS',),
)
# Settings of a part that are the arguments of something else, the first few of which the part gives.
HANDED_ON: dict[str, tuple[Callable, tuple[str, ...]]] = dict(
    clip_grad=(torch.nn.utils.clip_grad_norm_, ('parameters',)),
    sliding_window=(SlidingWindow, ()),
    tracking=(QueryTracker, ()),
)
# Keys that are taken out of the config of a layer, or of its initialisation, before it is built.
OF_LAYERS = dict(norm_cfg=('requires_grad',), init_cfg=('layer', 'override'))


class PartsCheck:
    """Goes through a config and notes the faults.

    Args:
        complete: Whether what is missing is a fault, too: it is where all parts are to be built.
    """

    def __init__(self, complete: bool) -> None:
        self.complete = complete
        self.faults: list[str] = []

    def run(self, cfg: Config) -> None:
        """Look at all settings that are made of parts."""
        for key, (registry, given, default) in PARTS.items():
            self.part(cfg.get(key), key, registry, given, default)
        train_cfg = cfg.get('train_cfg')
        if isinstance(train_cfg, Mapping):
            by_epoch = train_cfg.get('by_epoch')
            default = None if by_epoch is None else 'EpochBasedTrainLoop' if by_epoch else 'IterBasedTrainLoop'
            extra = () if by_epoch is None else ('by_epoch',)
            self.part(train_cfg, 'train_cfg', 'LOOPS', ('runner', 'dataloader'), default, extra)
        for split in ('train', 'val', 'test'):
            self.dataloader(cfg.get(f'{split}_dataloader'), f'{split}_dataloader')
        for split in ('val', 'test'):
            self.evaluator(cfg.get(f'{split}_evaluator'), f'{split}_evaluator')
        self.hooks(cfg.get('default_hooks'), 'default_hooks')
        self.parts(cfg.get('custom_hooks'), 'custom_hooks', 'HOOKS', (), ('priority',))
        self.parts(cfg.get('tta_pipeline'), 'tta_pipeline', 'TRANSFORMS', ())
        self.optim_wrapper(cfg.get('optim_wrapper'), 'optim_wrapper')
        self.schedulers(cfg.get('param_scheduler'), 'param_scheduler')
        for key, known in KEYS.items():
            self.keys(cfg.get(key), key, key, known)
        randomness = cfg.get('randomness')
        if isinstance(randomness, Mapping):
            self.numbers(randomness, 'randomness', 'randomness', arguments_of(Runner.set_randomness))
        env = cfg.get('env_cfg')
        if isinstance(env, Mapping):
            known = arguments_of(set_multi_processing).names - {'distributed'}
            self.keys(env.get('mp_cfg'), 'env_cfg.mp_cfg', 'mp_cfg', known)
        self.keys(cfg.get('compile'), 'compile', 'torch.compile', arguments_of(torch.compile).names - {'model'})

    def keys(self, value: Any, path: str, owner: str, known: Iterable[str]) -> None:
        """Look at the keys of a mapping that is no part."""
        for key in value if isinstance(value, Mapping) else ():
            if key not in known:
                self.fault(f'{path}.{key}', f"{owner} has no '{key}'; {near_names(key, sorted(known))}")

    def numbers(self, value: Mapping, path: str, owner: str, arguments: Arguments) -> None:
        """Look for texts where only numbers can be, and for fractions where only whole ones can be."""
        for key, kinds in arguments.kinds.items():
            given = value.get(key)
            fraction = isinstance(given, float) and not given.is_integer() and float not in kinds
            # An epoch's fraction becomes a number of iterations.
            if isinstance(given, str) or (fraction and not value.get('convert_to_iter_based')):
                wanted = 'a number' if float in kinds else 'a whole number' if int in kinds else 'True or False'
                self.fault(f'{path}.{key}', f"{owner} takes {wanted} for '{key}', not {given!r}.")

    def fault(self, path: str, sentence: str) -> None:
        """Note a fault."""
        self.faults.append(f'{path}: {sentence}')

    def missing(self, path: str, sentence: str) -> None:
        """Note that something is missing."""
        if self.complete:
            self.fault(path, sentence)

    def part(
        self,
        value: Any,
        path: str,
        registry: str,
        given: Collection[str] | None,
        default: str | None = None,
        extra: Collection[str] = (),
    ) -> None:
        """Look at a part and at what is inside.

        Args:
            value: Its config; anything else than a mapping is built already, or left out.
            path: The key, for the messages.
            registry: mmengine's name of the registry.
            given: Arguments that are filled in when it is built; None where that is unknown.
            default: The type where the config names none.
            extra: Keys that are taken out when it is built.
        """
        if not isinstance(value, Mapping):
            return
        if value.get('type', default) is None:
            self.missing(path, f"it has no 'type' to say what it is, only {', '.join(map(repr, value)) or 'nothing'}.")
            return
        with DefaultScope.overwrite_default_scope(value.get('_scope_')):
            target = find(value.get('type', default), (registry,))
            if target is None:
                self.unregistered(value['type'], path, (registry,))
            else:
                self.arguments(value, path, target, registry, given, extra)

    def parts(
        self, value: Any, path: str, registry: str, given: Collection[str] | None, extra: Collection[str] = ()
    ) -> None:
        """Look at a part, or at a list of parts."""
        if isinstance(value, Mapping):
            self.part(value, path, registry, given, extra=extra)
        for index, item in enumerate(value if isinstance(value, list | tuple) else ()):
            self.part(item, f'{path}.{index}', registry, given, extra=extra)

    def unregistered(self, kind: Any, path: str, names: Iterable[str]) -> None:
        """Note a type that no registry has."""
        known = sorted({name for registry in names for name in names_in(registry)})
        plain = str(kind).rpartition('.')[2]  # without a scope
        self.fault(f'{path}.type', f"there is no '{kind}' to build it of; {near_names(plain, known)}")

    def arguments(
        self,
        value: Mapping,
        path: str,
        target: Callable,
        registry: str,
        given: Collection[str] | None,
        extra: Collection[str],
        strict: bool = True,
    ) -> None:
        """Hold the keys of a part against what it takes, if ``strict``, then look inside."""
        known = self.arguments_with_others(value, target, registry)
        title = getattr(target, '__name__', str(target))
        keys = [key for key in value if key not in ('type', '_scope_') and key not in extra]
        for key in keys:
            if key not in known.names and not known.anything and strict:
                names = sorted(known.names - set(given or ()))
                near = near_names(key, names) if names else 'it takes none.'
                self.fault(f'{path}.{key}', f"{title} has no argument '{key}'; {near}")
        lacking = known.required - set(keys) - set(given or ())
        if given is not None and lacking:
            self.missing(path, f'{title} needs {" and ".join(map(repr, sorted(lacking)))}.')
        ours = getattr(target, '__module__', '').partition('.')[0] == 'mask2former'
        if strict:
            self.numbers(value, path, title, known)
        for key in keys:
            if key in HANDED_ON and ours:
                handed, filled = HANDED_ON[key]
                self.keys(value[key], f'{path}.{key}', key, arguments_of(handed).names - set(filled))
            elif key == 'pipeline' and registry == 'DATASETS':
                self.parts(value[key], f'{path}.{key}', 'TRANSFORMS', ())
            else:
                self.inside(value[key], f'{path}.{key}', registry, ours)

    @staticmethod
    def arguments_with_others(value: Mapping, target: Callable, registry: str) -> Arguments:
        """What a part takes, with what it hands on to the class that one of its arguments names."""
        arguments = arguments_for(target)
        if arguments.others_of is None:
            return arguments
        key, default = arguments.others_of
        other = find(value.get(key, default), (registry,))
        others = ANYTHING if other is None else arguments_of(other)
        return replace(
            others,
            names=arguments.names | others.names,
            required=arguments.required,
            others_of=None,
            kinds={name: k for name, k in others.kinds.items() if name not in arguments.names} | dict(arguments.kinds),
        )

    def inside(self, value: Any, path: str, registry: str, ours: bool) -> None:
        """Look for parts inside the argument of a part, at any depth.

        ``ours`` says that the part is of this package, where whatever names a type is built as it stands. Models of
        others may have another use for it, or take keys out and put some in.
        """
        last = path.rpartition('.')[2]
        if isinstance(value, list | tuple):
            for index, item in enumerate(value):
                self.inside(item, f'{path}.{index}', registry, ours)
        elif isinstance(value, Mapping) and isinstance(value.get('type'), str | Callable):
            order = ('WEIGHT_INITIALIZERS',) if last.endswith('init_cfg') else INSIDE.get(registry, (registry,))
            order = (*order, *(name for name in REGISTRIES if name not in order))
            with DefaultScope.overwrite_default_scope(value.get('_scope_')):
                for name in order:
                    target = find(value['type'], (name,))
                    if target is not None:
                        extra = next((keys for end, keys in OF_LAYERS.items() if last.endswith(end)), ())
                        strict = ours or registry not in ('MODELS', 'TASK_UTILS')
                        self.arguments(value, path, target, name, None, extra, strict)
                        return
            if ours:
                self.unregistered(value['type'], path, order[:2])
        elif isinstance(value, Mapping):
            typed = {key for key, item in value.items() if isinstance(item, Mapping) and 'type' in item}
            for key, item in value.items():
                if ours and typed and isinstance(item, Mapping) and item and key not in typed:
                    self.fault(f'{path}.{key}', f"it has no 'type'; {near_names(key, sorted(typed))}")
                elif ours and typed and item is None:
                    self.left_out(f'{path}.{key}', typed)
                self.inside(item, f'{path}.{key}', registry, ours)

    def left_out(self, path: str, known: Collection[str]) -> None:
        """Look at the name of what is None, in which a misspelling leaves nothing out."""
        name = path.rpartition('.')[2]
        near = near_names(name, sorted(known), cutoff=0.7)
        if name not in known and near.startswith('did you mean'):
            self.fault(path, f'there is nothing of this name to leave out; {near}')

    def dataloader(self, value: Any, path: str) -> None:
        """Look at a data loader with its data set, sampler and functions."""
        if not isinstance(value, Mapping):
            return
        self.keys(value, path, 'a data loader', LOADER_KEYS)
        self.numbers(value, path, 'a data loader', arguments_of(DataLoader))
        for key in ('dataset', 'sampler'):
            if key not in value:
                self.missing(path, f"it has no '{key}'.")
        self.part(value.get('dataset'), f'{path}.dataset', 'DATASETS', ())
        self.part(value.get('sampler'), f'{path}.sampler', 'DATA_SAMPLERS', ('dataset', 'seed'))
        self.part(value.get('batch_sampler'), f'{path}.batch_sampler', 'DATA_SAMPLERS', ('sampler', 'batch_size'))
        for key in ('collate_fn', 'worker_init_fn'):
            self.part(value.get(key), f'{path}.{key}', 'FUNCTIONS', None)

    def evaluator(self, value: Any, path: str) -> None:
        """Look at metrics, or at an evaluator around some."""
        if isinstance(value, Mapping) and 'metrics' in value:
            self.part(value, path, 'EVALUATOR', (), 'Evaluator')
        else:
            self.parts(value, path, 'METRICS', ())

    def hooks(self, value: Any, path: str) -> None:
        """Look at the hooks that have names."""
        for name, hook in value.items() if isinstance(value, Mapping) else ():
            if isinstance(hook, Mapping) and 'type' not in hook:
                others = [other for other in value if other != name]
                self.missing(f'{path}.{name}', f"it has no 'type'; {near_names(name, others)}")
            elif hook is None:
                self.left_out(f'{path}.{name}', {*MMENGINE_HOOKS, *(key for key, other in value.items() if other)})
            else:
                self.part(hook, f'{path}.{name}', 'HOOKS', (), extra=('priority',))

    def optim_wrapper(self, value: Any, path: str) -> None:
        """Look at an optimizer wrapper; one of an unknown constructor may hold anything, such as several wrappers."""
        if not isinstance(value, Mapping):
            return
        name = value.get('constructor', 'DefaultOptimWrapperConstructor')
        constructor = find(name, ('OPTIM_WRAPPER_CONSTRUCTORS',))
        if constructor is None:
            known = sorted(names_in('OPTIM_WRAPPER_CONSTRUCTORS'))
            self.fault(f'{path}.constructor', f"there is no '{name}'; {near_names(str(name), known)}")
        single = constructor in (
            SegOptimWrapperConstructor,
            find('DefaultOptimWrapperConstructor', ('OPTIM_WRAPPER_CONSTRUCTORS',)),
        )
        if not single and not isinstance(value.get('optimizer'), Mapping):
            return
        taken = ('constructor', 'paramwise_cfg', 'optimizer')
        rest = {key: item for key, item in value.items() if key not in taken}
        default = 'SegOptimWrapper' if constructor is SegOptimWrapperConstructor else 'OptimWrapper'
        self.part(rest, path, 'OPTIM_WRAPPERS', ('optimizer',), default)
        if 'optimizer' not in value:
            self.missing(path, "it has no 'optimizer'.")
        self.part(value.get('optimizer'), f'{path}.optimizer', 'OPTIMIZERS', ('params',))
        if constructor is SegOptimWrapperConstructor:
            try:
                SegOptimWrapperConstructor({}, value.get('paramwise_cfg'))
            except ConfigError as error:
                self.fault(f'{path}.paramwise_cfg', f'{error}.')

    def schedulers(self, value: Any, path: str) -> None:
        """Look at one schedule, at a list, or at the schedules of several optimizers."""
        if isinstance(value, Mapping) and value and 'type' not in value:
            for key, item in value.items():
                self.schedulers(item, f'{path}.{key}')
            return
        # The runner gives a cosine its length.
        self.parts(value, path, 'PARAM_SCHEDULERS', ('optimizer', 'T_max'), ('convert_to_iter_based', 'epoch_length'))


def arguments_for(target: Callable) -> Arguments:
    """:func:`arguments_of`; mmengine's checkpoint hook keeps others until it saves, and can then use none of them."""
    arguments = arguments_of(target)
    of_checkpoints = isinstance(target, type) and issubclass(target, CheckpointHook)
    return replace(arguments, anything=False) if of_checkpoints else arguments
