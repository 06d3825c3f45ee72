"""Batch norms that share their statistics between processes, on CPUs, too."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from mmengine.model import convert_sync_batchnorm
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from mask2former.errors import ConfigError


def share_statistics(model: nn.Module, implementation: str) -> nn.Module:
    """The model with every batch norm turned into one over the images of all processes.

    Args:
        model: The model.
        implementation: ``sync_bn`` of a config, ``'torch'`` or ``'mmcv'``; on CPUs, where neither of them works, it is
            always :class:`CPUSyncBatchNorm`.

    Raises:
        ConfigError: If there is no such implementation, or a norm does more than a batch norm.
    """
    if implementation not in ('torch', 'mmcv'):
        raise ConfigError(f"sync_bn must be 'torch' or 'mmcv', but is {implementation!r}.")
    if torch.cuda.is_available():
        return convert_sync_batchnorm(model, implementation)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            if not isinstance(module, nn.SyncBatchNorm) and type(module).forward is not _BatchNorm.forward:
                raise ConfigError(f'sync_bn: {type(module).__name__} is no batch norm alone: leave sync_bn out.')
            module.__class__ = CPUSyncBatchNorm  # it has the same attributes
    return model


class CPUSyncBatchNorm(_BatchNorm):
    """As ``torch.nn.SyncBatchNorm``, which works on GPUs only, by all-reduces that have gradients."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, ...), in training by the statistics of the images of all processes.

        Raises:
            ValueError: If all processes together have only one value of a channel.
        """
        if not self.training:
            own = self.running_mean is None  # the statistics are those of the images at hand, then
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, own, eps=self.eps)
        dtype = x.dtype
        x = x if dtype == torch.float64 else x.float()  # sums of half precision overflow
        shape = (1, -1) + (1,) * (x.dim() - 2)
        others = [dim for dim in range(x.dim()) if dim != 1]
        count = x.new_tensor([x.numel() / x.shape[1]])
        # Two passes, since the mean of squares less the square of the mean loses digits.
        *sums, count = self._total(torch.cat([x.sum(others), count])).split([x.shape[1], 1])
        if count <= 1:
            raise ValueError(f'Expected more than 1 value per channel when training, got input size {tuple(x.shape)}')
        mean = sums[0] / count  # (C,)
        centred = x - mean.view(shape)
        variance = self._total(centred.square().sum(others)) / count  # (C,)
        if self.running_mean is not None and self.running_var is not None:
            factor = self._next_factor()
            for kept, value in ((self.running_mean, mean), (self.running_var, variance * count / (count - 1))):
                kept.lerp_(value.detach().to(kept.dtype), factor)
        x = centred * (variance + self.eps).rsqrt().view(shape)
        if self.weight is None or self.bias is None:
            return x.to(dtype)
        return (x * self.weight.view(shape) + self.bias.view(shape)).to(dtype)

    def _total(self, x: Tensor) -> Tensor:
        """The sum over all processes."""
        return _AllReduce.apply(x) if dist.is_initialized() else x

    def _next_factor(self) -> float:
        """How much of the running statistics this batch is."""
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        return 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum


class _AllReduce(torch.autograd.Function):
    """The sum over all processes, each of which has a loss of its own that depends on it."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        total = grad.clone()
        dist.all_reduce(total)
        return total
