"""Hooks that make numbers infinite in a training."""

from mmengine.dist import get_rank
from mmengine.hooks import Hook

from mask2former.engine.unwrap import unwrap_model
from mask2former.registry import HOOKS


@HOOKS.register_module()
class ScaleWeight(Hook):
    """Multiplies a weight before an iteration."""

    def __init__(self, name, iteration, factor):
        self.name, self.iteration, self.factor = name, iteration, factor

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == self.iteration:
            unwrap_model(runner.model).get_parameter(self.name).data.mul_(self.factor)


@HOOKS.register_module()
class InfiniteTerm(Hook):
    """Makes a term of the loss infinite in one process and some iterations."""

    def __init__(self, name, iterations, rank):
        self.name, self.iterations, self.rank = name, iterations, rank

    def before_train(self, runner):
        def spoil(module, args, losses):
            if runner.iter not in self.iterations or get_rank() != self.rank:
                return losses
            return {**losses, self.name: losses[self.name] * float('inf')}

        unwrap_model(runner.model).criterion.register_forward_hook(spoil)
