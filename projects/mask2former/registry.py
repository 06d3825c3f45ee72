"""The registries of scope ``mask2former``: each is a child of mmdet's, so ``type='ResNet'`` still finds mmdet's."""

from importlib import import_module

from mmdet import registry as mmdet_registry
from mmengine.registry import Registry


class ChildRegistry(Registry):
    """A child of a registry of mmdet, whose package is imported with the first name that is not one of ours.

    mmengine imports no parent's locations, or all of one's own at once; mmdet's models alone take two seconds.
    """

    def __init__(self, name: str, package: str) -> None:
        super().__init__(
            getattr(mmdet_registry, name).name,
            parent=getattr(mmdet_registry, name),
            scope='mask2former',
            locations=[f'mask2former.{package}'],
        )
        self.mmdet_package = f'mmdet.{package}'

    def get(self, key: str) -> type | None:
        """What is registered under ``key`` here, in mmdet or in mmengine, in this order; ``None`` if nothing is."""
        if isinstance(key, str):
            self.import_from_location()
            if key.removeprefix('mask2former.') not in self._module_dict:
                import_module(self.mmdet_package)
        return super().get(key)


RUNNERS = ChildRegistry('RUNNERS', 'engine')
RUNNER_CONSTRUCTORS = ChildRegistry('RUNNER_CONSTRUCTORS', 'engine')
LOOPS = ChildRegistry('LOOPS', 'engine')
HOOKS = ChildRegistry('HOOKS', 'engine')
DATASETS = ChildRegistry('DATASETS', 'datasets')
DATA_SAMPLERS = ChildRegistry('DATA_SAMPLERS', 'datasets')
TRANSFORMS = ChildRegistry('TRANSFORMS', 'datasets')
MODELS = ChildRegistry('MODELS', 'models')
MODEL_WRAPPERS = ChildRegistry('MODEL_WRAPPERS', 'engine')
WEIGHT_INITIALIZERS = ChildRegistry('WEIGHT_INITIALIZERS', 'models')
OPTIMIZERS = ChildRegistry('OPTIMIZERS', 'engine')
OPTIM_WRAPPERS = ChildRegistry('OPTIM_WRAPPERS', 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = ChildRegistry('OPTIM_WRAPPER_CONSTRUCTORS', 'engine')
PARAM_SCHEDULERS = ChildRegistry('PARAM_SCHEDULERS', 'engine')
METRICS = ChildRegistry('METRICS', 'evaluation')
EVALUATOR = ChildRegistry('EVALUATOR', 'evaluation')
TASK_UTILS = ChildRegistry('TASK_UTILS', 'models')
VISUALIZERS = ChildRegistry('VISUALIZERS', 'visualization')
VISBACKENDS = ChildRegistry('VISBACKENDS', 'visualization')
LOG_PROCESSORS = ChildRegistry('LOG_PROCESSORS', 'engine')
