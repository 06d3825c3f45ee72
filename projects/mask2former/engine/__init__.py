"""What drives training and testing: the runner, the loop, the optimizer wrapper, hooks."""

from .checkpoint_hook import SegCheckpointHook
from .curve_hook import CurveHook
from .fsdp import FSDP
from .limits_hook import LimitsHook
from .loops import SegIterTrainLoop
from .mask_annealing_hook import MaskAnnealingHook
from .nonfinite_hook import NonFiniteHook
from .optim_constructor import SegOptimWrapperConstructor
from .optim_wrapper import SegOptimWrapper
from .runner import SegRunner
from .terminal_hook import TerminalHook
from .time_limit_hook import TimeLimitHook
from .two_stage_schedule import TwoStageWarmupPolyLR
from .visualization_hook import SegVisualizationHook
from .vit_optim_constructor import EncoderOnlyOptimWrapperConstructor

__all__ = [
    'FSDP',
    'CurveHook',
    'EncoderOnlyOptimWrapperConstructor',
    'LimitsHook',
    'MaskAnnealingHook',
    'NonFiniteHook',
    'SegCheckpointHook',
    'SegIterTrainLoop',
    'SegOptimWrapper',
    'SegOptimWrapperConstructor',
    'SegRunner',
    'SegVisualizationHook',
    'TerminalHook',
    'TimeLimitHook',
    'TwoStageWarmupPolyLR',
]
