"""What drives training and testing: the runner, the optimizer wrapper, hooks."""

from .optim_constructor import SegOptimWrapperConstructor
from .optim_wrapper import SegOptimWrapper
from .runner import SegRunner
from .visualization_hook import SegVisualizationHook

__all__ = ['SegOptimWrapper', 'SegOptimWrapperConstructor', 'SegRunner', 'SegVisualizationHook']
