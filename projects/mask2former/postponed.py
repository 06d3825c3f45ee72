"""Imports that mmengine and mmdet make for parts which few trainings use, made when such a part is used.

Together they took two thirds of the time that importing this package takes beyond torch: transformers (a tokenizer for
mmdet's models of text, one optimizer), FSDP and ZeRO with the computer algebra behind them, and pyplot. Each of these
parts is still found under its name, in the registries too.
"""

import functools
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from mask2former.when_imported import when_imported

# Modules, the registry that they enter, and the names under which they do.
_REGISTERED: dict[str, tuple[str, tuple[str, ...]]] = {
    'mmengine.optim.optimizer.zero_optimizer': ('mmengine.OPTIMIZERS', ('ZeroRedundancyOptimizer',)),
    'mmengine.model.wrappers.fully_sharded_distributed': ('mmengine.MODEL_WRAPPERS', ('MMFullyShardedDataParallel',)),
    'mmengine._strategy.fsdp': ('mmengine.STRATEGIES', ('FSDPStrategy',)),
    'mmdet.datasets.transforms.text_transformers': (
        'mmdet.TRANSFORMS',
        ('LoadTextAnnotations', 'RandomSamplingNegPos'),
    ),
    'mmdet.models.language_models.bert': ('mmdet.MODELS', ('BertModel',)),
    'mmdet.models.dense_heads.atss_vlfusion_head': ('mmdet.MODELS', ('ATSSVLFusionHead',)),
    'mmdet.models.utils.vlfuse_helper': ('', ()),
    'mmdet.evaluation.metrics.lvis_metric': ('mmdet.METRICS', ('LVISMetric', 'LVISFixedAPMetric')),
    'mmdet.utils.mot_error_visualize': ('', ()),
}


class Postponed(type):
    """The class of names that stand in for those of modules which are not imported yet.

    A stand-in is called as what it stands for, has its attributes, and may be a base class; each of these imports the
    module. That an object is no instance of it is known without.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> type:
        if not bases:
            return super().__new__(cls, name, (), namespace)
        real = tuple(base.real() if isinstance(base, Postponed) else base for base in bases)
        return type(real[0])(name, real, namespace)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.real()(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        return getattr(cls.real(), name)

    def __instancecheck__(cls, instance: object) -> bool:
        return not _is_postponed(cls.__module__) and isinstance(instance, cls.real())

    def real(cls) -> Any:
        """What it stands for."""
        _load(cls.__module__)
        return getattr(importlib.import_module(cls.__module__), cls.__name__)


def _stand_in(module: str, name: str) -> type:
    return Postponed(name, (), {'__module__': module})


class _PostponedModule(ModuleType):
    """Stands in for a module: it has every name."""

    def __getattr__(self, name: str) -> type:
        if name.startswith('__'):
            raise AttributeError(name)
        return _stand_in(self.__name__, name)


def _is_postponed(module: str) -> bool:
    return isinstance(sys.modules.get(module), _PostponedModule)


def _load(module: str) -> None:
    """Import the real module, which enters the registry in the place of the stand-ins."""
    if _is_postponed(module):
        registry, names = _REGISTERED[module]
        for name in names:
            del _registry(registry).module_dict[name]
        del sys.modules[module]
        importlib.import_module(module)


def _registry(name: str) -> Any:
    package, registry = name.split('.')
    return getattr(importlib.import_module(f'{package}.registry'), registry)


@contextmanager
def _standing_in(module: str) -> Iterator[None]:
    """A stand-in for a package, if that is installed, for as long as the context is open."""
    if module in sys.modules or importlib.util.find_spec(module) is None:
        yield
        return
    stand_in = _PostponedModule(module)
    stand_in.__spec__ = ModuleSpec(module, loader=None)
    sys.modules[module] = stand_in
    try:
        yield
    finally:
        del sys.modules[module]


def postpone() -> None:
    """Postpone the imports that are still to come, as soon as the package that makes them is imported."""
    when_imported('mmengine', _postpone_in_mmengine)
    when_imported('mmdet', functools.partial(_postpone_in, 'mmdet'))


def _postpone_in_mmengine() -> None:
    _postpone_in('mmengine')
    with _standing_in('transformers'):
        importlib.import_module('mmengine.optim')


def _postpone_in(package: str) -> None:
    for module, (registry, names) in _REGISTERED.items():
        if module.partition('.')[0] != package or module in sys.modules:
            continue
        sys.modules[module] = _PostponedModule(module)
        for name in names:
            _registry(registry).register_module(name=name, module=_stand_in(module, name))
