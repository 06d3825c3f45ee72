"""A model in float64, whose trainings can be compared closely, and a hook that sends its process a signal."""

import os
import signal

from mmengine.dist import get_rank
from mmengine.hooks import Hook

from mask2former.models.mask2former import Mask2Former
from mask2former.registry import HOOKS, MODELS


@MODELS.register_module()
class DoubleModel(Mask2Former):
    """Mask2Former in float64."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.double()


@HOOKS.register_module()
class SignalHook(Hook):
    """Sends SIGTERM to the second process in an iteration."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if batch_idx == self.iteration and get_rank() == 1:
            os.kill(os.getpid(), signal.SIGTERM)
