"""EoMT's learning rate: what is new warms up first, the pretrained transformer after it, then both fall to zero."""

from mmengine.optim import _ParamScheduler
from torch.optim import Optimizer

from mask2former.errors import ConfigError
from mask2former.registry import PARAM_SCHEDULERS

from .optim_wrapper import iterations_per_step


@PARAM_SCHEDULERS.register_module()
class TwoStageWarmupPolyLR(_ParamScheduler):
    """Two linear warm-ups, one after the other, each followed by polynomial decay to zero at ``end``.

    For ``warmup`` steps the weights outside the transformer warm up, and it stands still; for the next ``vit_warmup``
    steps it warms up. As in the reference, these are steps of the optimizer, each of as many iterations as its wrapper
    accumulates gradients of.

    Args:
        optimizer: An optimizer whose groups say ``in_vit``, as :class:`EncoderOnlyOptimWrapperConstructor` makes them.
        warmup: Steps.
        vit_warmup: Steps.
        end: The last iteration of the training.
        power: Exponent of the decay.
        by_epoch: Must be False: all is counted in iterations.
        last_step: Iterations that are done, for mmengine; -1 for none.
        verbose: Whether every change is printed.

    Raises:
        ConfigError: If the warm-ups do not end before ``end``, ``by_epoch`` is true, or the groups do not say
            ``in_vit``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup: int,
        vit_warmup: int,
        end: int,
        power: float = 0.9,
        by_epoch: bool = False,
        last_step: int = -1,
        verbose: bool = False,
    ) -> None:
        self.per_step = iterations_per_step(optimizer)
        if by_epoch or not 0 <= warmup + vit_warmup < end // self.per_step:
            raise ConfigError(
                f'TwoStageWarmupPolyLR counts steps, and its warm-ups of {warmup} and {vit_warmup} must end '
                f'before its end, {end // self.per_step}: set by_epoch=False and a later end.'
            )
        if not any('in_vit' in group for group in optimizer.param_groups):  # mmengine's wrapper adds one without
            raise ConfigError(
                'TwoStageWarmupPolyLR needs parameter groups that say whether they are of the transformer: '
                "set optim_wrapper.constructor to 'EncoderOnlyOptimWrapperConstructor'."
            )
        self.warmup, self.vit_warmup, self.power = warmup, vit_warmup, power
        super().__init__(optimizer, 'lr', begin=0, end=end, last_step=last_step, by_epoch=False, verbose=verbose)

    def _get_value(self) -> list[float]:
        own, vit = self.factor(0, self.warmup), self.factor(self.warmup, self.vit_warmup)
        groups = self.optimizer.param_groups
        return [base * (vit if group.get('in_vit') else own) for base, group in zip(self.base_values, groups)]

    def factor(self, start: int, warmup: int) -> float:
        """That of the learning rate now, of weights that warm up from ``start`` on."""
        step, end = self.last_step // self.per_step, self.end // self.per_step
        if step < start:
            return 0.0
        if step < start + warmup:
            return (step - start) / warmup
        return max(1 - (step - start - warmup) / (end - start - warmup), 0.0) ** self.power
