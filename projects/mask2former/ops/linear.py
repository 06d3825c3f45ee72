"""A linear map that runs through oneDNN on CPUs.

PyTorch's own goes through MKL, which takes the slow path on processors that are not Intel's: on an AMD EPYC it reached
190 GFLOP/s where oneDNN, which PyTorch contains as well, reached 430 (docs/performance.md).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``torch.nn.functional.linear``, through oneDNN where it can: (..., in), (out, in), (out,) -> (..., out)."""
    if not _takes_onednn(x, weight):
        return F.linear(x, weight, bias)
    return _Linear.apply(x.flatten(0, -2), weight, bias).view(*x.shape[:-1], len(weight))


def _takes_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        x.device.type == 'cpu' and x.dtype == weight.dtype == torch.float32 and x.numel() > 0 and len(weight) > 0
        and torch.backends.mkldnn.is_available() and not torch.is_autocast_enabled('cpu')
        and not torch.compiler.is_exporting())


def _product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a @ b.T + bias of matrices (n, k) and (m, k) in any memory layout."""
    return torch.ops.mkldnn._linear_pointwise(a, b, bias, 'none', [], '')


class _Linear(torch.autograd.Function):
    """x (n, in), weight (out, in), bias (out,) -> (n, out)."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        grad_x = _product(grad, weight.T) if need_x else None
        grad_weight = None
        if need_weight:
            # oneDNN is faster with the shorter side first.
            grad_weight = _product(grad.T, x.T) if weight.shape[0] <= weight.shape[1] else _product(x.T, grad.T).T
        return grad_x, grad_weight, grad.sum(0) if need_bias else None
