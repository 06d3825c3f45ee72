"""The registries of scope ``mask2former``: each is a child of mmdet's, so ``type='ResNet'`` still finds mmdet's."""

from mmdet import registry as mmdet_registry
from mmengine.registry import Registry


def _child(name: str, package: str) -> Registry:
    """A child of mmdet's registry ``name``. mmengine imports no parent's locations, so they are named here too."""
    parent = getattr(mmdet_registry, name)
    locations = [f'mask2former.{package}', f'mmdet.{package}']
    return Registry(parent.name, parent=parent, scope='mask2former', locations=locations)


RUNNERS = _child('RUNNERS', 'engine')
RUNNER_CONSTRUCTORS = _child('RUNNER_CONSTRUCTORS', 'engine')
LOOPS = _child('LOOPS', 'engine')
HOOKS = _child('HOOKS', 'engine')
DATASETS = _child('DATASETS', 'datasets')
DATA_SAMPLERS = _child('DATA_SAMPLERS', 'datasets')
TRANSFORMS = _child('TRANSFORMS', 'datasets')
MODELS = _child('MODELS', 'models')
MODEL_WRAPPERS = _child('MODEL_WRAPPERS', 'engine')
WEIGHT_INITIALIZERS = _child('WEIGHT_INITIALIZERS', 'models')
OPTIMIZERS = _child('OPTIMIZERS', 'engine')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS', 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS', 'engine')
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS', 'engine')
METRICS = _child('METRICS', 'evaluation')
EVALUATOR = _child('EVALUATOR', 'evaluation')
TASK_UTILS = _child('TASK_UTILS', 'models')
VISUALIZERS = _child('VISUALIZERS', 'visualization')
VISBACKENDS = _child('VISBACKENDS', 'visualization')
LOG_PROCESSORS = _child('LOG_PROCESSORS', 'engine')
