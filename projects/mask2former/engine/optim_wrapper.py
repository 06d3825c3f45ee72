"""Optimizer wrapper: mixed precision on any device, and steps whose gradient is not finite are left out."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from mmengine.dist import all_gather, is_distributed
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.optim import Optimizer

from mask2former.checkpoints.shards import is_shard, local_part, shard_like
from mask2former.errors import CheckpointError, ConfigError, NonFiniteError
from mask2former.registry import OPTIM_WRAPPERS

from .training_state import optimizer_fault


def iterations_per_step(optimizer: object) -> int:
    """Iterations whose gradients make one step of an optimizer wrapper; of an optimizer alone, 1."""
    return getattr(optimizer, '_accumulative_counts', 1)


def total_norm(
    gradients: Sequence[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm () of all gradients together; of sharded ones over all processes, all of which must ask for it.

    The arguments are those of :func:`torch.nn.utils.get_total_norm`.
    """
    if not any(is_shard(gradient) for gradient in gradients):
        return torch.nn.utils.get_total_norm(gradients, norm_type, error_if_nonfinite, foreach)
    # torch would talk to the other processes about each gradient.
    parts = [part for gradient in gradients if (part := local_part(gradient)).numel()]
    norm = torch.nn.utils.get_total_norm(parts, norm_type, error_if_nonfinite, foreach).to(gradients[0].device)
    return torch.linalg.vector_norm(torch.stack(all_gather(norm)), norm_type)


@OPTIM_WRAPPERS.register_module()
class SegOptimWrapper(OptimWrapper):
    """Clips the gradient norm of the full model, and skips a step whose gradient is NaN or infinite.

    Args:
        optimizer: The optimizer.
        accumulative_counts: Iterations whose gradients make one step.
        clip_grad: ``max_norm`` and ``norm_type`` of the clipping.
        amp_dtype: 'bfloat16' or 'float16' (with loss scaling) for mixed precision.
        max_skipped: So many skipped steps in a row end the training.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        accumulative_counts: int = 1,
        clip_grad: dict | None = None,
        amp_dtype: str | None = None,
        max_skipped: int = 20,
    ) -> None:
        if clip_grad is not None and 'max_norm' not in clip_grad:
            raise ConfigError(f'clip_grad needs max_norm, e.g. dict(max_norm=0.01), not {dict(clip_grad)}')
        super().__init__(optimizer, accumulative_counts, clip_grad)
        if amp_dtype not in (None, 'bfloat16', 'float16'):
            raise ConfigError(f"amp_dtype must be 'bfloat16', 'float16' or None, not '{amp_dtype}'")
        self.amp_dtype = amp_dtype
        self.max_skipped = max_skipped
        self.skipped = 0
        self.explain: Callable[[], str] | None = None  # says where a gradient is not finite, while it is there
        self._loss: Tensor | float = 0.0  # of this step, in one process
        self._lowest_scale = 1.0
        self._accumulated: list[Tensor | None] | None = None  # of the checkpoint that was loaded
        self.device_type = 'cuda' if torch.cuda.is_available() else 'cpu'
        self.scaler = torch.amp.GradScaler(self.device_type, enabled=amp_dtype == 'float16')

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The forward pass of a step runs in this context."""
        dtype = getattr(torch, self.amp_dtype) if self.amp_dtype else None
        with super().optim_context(model), torch.autocast(self.device_type, dtype, enabled=dtype is not None):
            yield

    def backward(self, loss: Tensor, **kwargs) -> None:
        """Back-propagate the (scaled) loss."""
        self.scaler.scale(loss).backward(**kwargs)
        if not is_distributed():  # elsewhere the gradient alone is the same in all processes
            self._loss = self._loss + loss.detach()
        self._inner_count += 1

    def step(self, **kwargs) -> None:
        """Clip the gradient and step, unless the gradient or, in one process, the loss is not finite."""
        self.scaler.unscale_(self.optimizer)
        parameters = [p for p in self._parameters() if p.grad is not None]
        options = {'max_norm': float('inf'), **(self.clip_grad_kwargs or {})}
        max_norm = options.pop('max_norm')
        norm = total_norm([p.grad for p in parameters if p.grad is not None], **options)
        finite = bool((norm + self._loss).isfinite())
        self._loss = 0.0
        where = ''
        if finite:
            torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm, options.get('foreach'))
            self.message_hub.update_scalar('train/grad_norm', float(norm))
            self.scaler.step(self.optimizer, **kwargs)
        elif self.explain is not None:
            where = self.explain()  # before the gradients and the loss scale change
        self.skipped = 0 if finite else self.skipped + 1
        self.scaler.update()
        if self.scaler.is_enabled():
            self._watch_scale()
        if not finite:
            self._report_skipped(where)

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group['params']]

    def _report_skipped(self, where: str) -> None:
        iteration = self.message_hub.get_info('iter', 'unknown')
        message = f'The gradient or the loss is NaN or infinite at iteration {iteration}{where}: '
        if self.skipped >= self.max_skipped:
            raise NonFiniteError(
                f'{message}{self.skipped} steps in a row were left out, so training stops. Resume '
                'from the last checkpoint with a lower learning rate, or in bfloat16 or float32.'
            )
        print_log(f'{message}this step is left out ({self.skipped} in a row).', 'current', logging.WARNING)

    def _watch_scale(self) -> None:
        """Say so where the loss scale falls and falls: no scale helps against values that are too large themselves."""
        scale = self.scaler.get_scale()
        self.message_hub.update_scalar('train/loss_scale', scale)
        if scale >= self._lowest_scale:
            return
        self._lowest_scale = scale / 16  # the next warning
        print_log(
            f'The loss scale of float16 has fallen to {scale:g}: steps are left out again and again, as values of the '
            'model itself are too large for float16. Train in bfloat16 (amp_dtype) or float32.',
            'current',
            logging.WARNING,
        )

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Begin at an iteration, which in a resumed training is not the first and may lie within a step.

        Args:
            model: What is trained.
            init_counts: Iterations that were done.
            max_counts: Iterations in all.
        """
        self._inner_count, self._max_counts = init_counts, max_counts
        self._remainder_counts = max_counts % self._accumulative_counts
        within = init_counts % self._accumulative_counts
        if within and not self._accumulated:
            print_log(
                f'The checkpoint does not hold the gradients of the last {within} of {self._accumulative_counts} '
                'iterations that make a step: the first step is made of those that follow.',
                'current',
                logging.WARNING,
            )

    def state_dict(self) -> dict:
        """The optimizer's state, the loss scale, and within a step of one process the gradients so far."""
        state = super().state_dict()
        if self._inner_count % self._accumulative_counts and not is_distributed():
            state['accumulated'] = [p.grad for p in self._parameters()]
        if self.scaler.is_enabled():
            state['loss_scaler'] = self.scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """Load what :meth:`state_dict` gave.

        Raises:
            CheckpointError: If it is of other weights.
        """
        fault = optimizer_fault(state_dict, self.optimizer.param_groups)
        if fault is not None:
            raise CheckpointError(
                f"The checkpoint's state of the optimizer does not fit this training ({fault}): resume with the config "
                'that it was saved with, or begin with its weights by load_from.'
            )
        state_dict = dict(state_dict)
        scaler = state_dict.pop('loss_scaler', None)
        self._accumulated = state_dict.pop('accumulated', None)
        for parameter, gradient in zip(self._parameters(), self._accumulated or ()):
            parameter.grad = None if gradient is None else shard_like(gradient.to(parameter.dtype), parameter)
        if scaler is not None and self.scaler.is_enabled():
            self.scaler.load_state_dict(scaler)
        super().load_state_dict(_sharded(state_dict, self._parameters()))


def _sharded(state_dict: dict, parameters: Sequence[nn.Parameter]) -> dict:
    """The state of an optimizer, of which the moments of a sharded weight are sharded as it is."""
    state = dict(state_dict['state'])
    for index, moments in state.items():
        own = parameters[index]
        if is_shard(own):
            state[index] = {
                name: shard_like(value, own) if isinstance(value, Tensor) and value.shape == own.shape else value
                for name, value in moments.items()
            }
    return dict(state_dict, state=state)
