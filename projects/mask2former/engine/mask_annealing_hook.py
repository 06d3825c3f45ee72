"""Lets masked attention fade in the course of a training (EoMT, arXiv 2503.19108: mask annealing)."""

from collections.abc import Sequence

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mask2former.errors import ConfigError
from mask2former.models import EncoderOnlyHead
from mask2former.registry import HOOKS

from .optim_wrapper import iterations_per_step
from .unwrap import unwrap_model


@HOOKS.register_module()
class MaskAnnealingHook(Hook):
    """Sets ``mask_probability`` of :class:`EncoderOnlyHead` from the number of the optimizer's steps that are done.

    A block's is 1 until its start, 0 from its end, and in between ``(1 - progress) ** power``. It follows from the
    iteration alone, so a resumed training goes on where it was. As in the reference, whose ``global_step`` it is, a
    step is of as many iterations as the optimizer wrapper accumulates gradients of.

    Args:
        starts: Of each block with queries, the steps before its masks begin to fade.
        ends: Of each block, the steps after which it has none.
        power: Exponent; 0.9 in the reference.

    Raises:
        ConfigError: If there are not as many ends as starts, or one is not after its start; before the training, if
            the model has another number of such blocks.
    """

    def __init__(self, starts: Sequence[int], ends: Sequence[int], power: float = 0.9) -> None:
        if len(starts) != len(ends) or any(start >= end for start, end in zip(starts, ends)):
            raise ConfigError(
                f'MaskAnnealingHook needs an end after each start, one pair for a block, not {starts} and {ends}'
            )
        self.starts, self.ends, self.power = list(starts), list(ends), power

    def before_train(self, runner: Runner) -> None:
        """Set what a new or a resumed training begins with."""
        head = getattr(unwrap_model(runner.model), 'head', None)
        blocks = len(getattr(head, 'mask_probability', ()))
        if blocks != len(self.starts):
            raise ConfigError(
                f'MaskAnnealingHook has {len(self.starts)} starts and ends, but the model has {blocks} blocks with '
                'queries: give one of each for every block of an EncoderOnlyHead.'
            )
        steps = runner.max_iters // iterations_per_step(runner.optim_wrapper)
        if max(self.ends) > steps:
            runner.logger.warning(
                f'Masked attention fades until step {max(self.ends)}, but the training ends after {steps}: at its end '
                'attention is still masked.'
            )
        self.anneal(runner, runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: dict | None = None
    ) -> None:
        """Set what the next iteration, a validation and a checkpoint have."""
        self.anneal(runner, runner.iter + 1)

    def anneal(self, runner: Runner, done: int) -> None:
        """Set the probabilities after so many iterations."""
        steps = done // iterations_per_step(runner.optim_wrapper)
        values = [self.probability(steps, start, end) for start, end in zip(self.starts, self.ends)]
        head: EncoderOnlyHead = unwrap_model(runner.model).head  # type: ignore[assignment]
        head.mask_probability.copy_(torch.tensor(values))

    def probability(self, done: int, start: int, end: int) -> float:
        """Of a block, after so many steps."""
        progress = min(max((done - start) / (end - start), 0.0), 1.0)
        return (1 - progress) ** self.power
