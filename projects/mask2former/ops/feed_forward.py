"""The feed-forward network of a transformer layer without its large inner values."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .linear import linear
from .product import product, takes_onednn

MAX_KEPT = 2**23  # inner values that are computed at once and kept for the backward pass: 32 MB
MAX_TOKENS = 4096  # else as many tokens at a time: 16 MB with 1024 inner values each


def feed_forward(x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    """x + W2 relu(W1 x + b1) + b2.

    Of many tokens, on CPUs, the backward pass computes the inner values again instead of keeping them, a part of the
    tokens at a time: at 1024 x 1024 they would be an eighth of all the memory, for 3 % less time (docs/performance.md).

    Args:
        x: (..., C).
        weight1: (F, C).
        bias1: (F,).
        weight2: (C, F).
        bias2: (C,).

    Returns:
        (..., C).
    """
    if torch.compiler.is_compiling() or not takes_onednn(x, weight1) or x.shape[:-1].numel() * len(weight1) <= MAX_KEPT:
        return linear(linear(x, weight1, bias1, relu=True), weight2, bias2, add=x)
    return _FeedForward.apply(x.reshape(-1, x.shape[-1]), weight1, bias1, weight2, bias2).view(x.shape)


class _FeedForward(torch.autograd.Function):
    """x (n, C) -> (n, C)."""

    @staticmethod
    def forward(ctx, x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight1, bias1, weight2)
        out = torch.empty_like(x)
        for part, part_out in zip(x.split(MAX_TOKENS), out.split(MAX_TOKENS)):
            inner = product(part, weight1, bias1, relu=True)  # (n', F)
            part_out.copy_(product(inner, weight2, bias2, add=part))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, ...]:
        x, weight1, bias1, weight2 = ctx.saved_tensors
        grad_x = torch.empty_like(grad)
        grad_weight1, grad_bias1 = torch.zeros_like(weight1), torch.zeros_like(bias1)
        grad_weight2 = torch.zeros_like(weight2)
        for part, part_grad, part_grad_x in zip(*(tensor.split(MAX_TOKENS) for tensor in (x, grad, grad_x))):
            inner = product(part, weight1, bias1, relu=True)  # (n', F)
            grad_weight2 += product(part_grad.T, inner.T)
            grad_inner = torch.ops.aten.threshold_backward(product(part_grad, weight2.T), inner, 0)  # (n', F)
            grad_weight1 += product(part.T, grad_inner.T).T
            grad_bias1 += grad_inner.sum(0)
            torch.add(product(grad_inner, weight1.T), part_grad, out=part_grad_x)
        return grad_x, grad_weight1, grad_bias1, grad_weight2, grad.sum(0)
