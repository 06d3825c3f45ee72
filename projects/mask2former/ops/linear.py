"""Linear maps that run through oneDNN or MKL on CPUs, whichever is the faster one (:mod:`.product`).

A convolution of size 1 is a linear map, too: where oneDNN's product reached 430 GFLOP/s, its convolution reached 120
(docs/performance.md).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from mmcv.cnn import Linear as MmcvLinear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .product import product, takes_onednn


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, add: Tensor | None = None, relu: bool = False
) -> Tensor:
    """``torch.nn.functional.linear`` and, by option, what often follows it.

    Args:
        x: (..., in).
        weight: (out, in).
        bias: (out,).
        add: (..., out), added to the result.
        relu: Whether a ReLU comes last.

    Returns:
        (..., out).
    """
    if not takes_onednn(x, weight):
        out = F.linear(x, weight, bias)
        out = out if add is None else out + add
        return out.relu() if relu else out
    shape = (*x.shape[:-1], len(weight))
    if add is not None:
        add = add.expand(shape).reshape(-1, len(weight))
    function = traced_linear if torch.compiler.is_compiling() else _Linear.apply
    return function(x.reshape(-1, x.shape[-1]), weight, bias, add, relu).view(shape)


def pointwise_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    *,
    add: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """A convolution of size 1 and, by option, what often follows it.

    Args:
        x: (B, in, H, W).
        weight: (out, in, 1, 1).
        bias: (out,).
        stride: Step from an output to the next.
        add: (B, out, H / stride, W / stride), added to the result.
        relu: Whether a ReLU comes last.

    Returns:
        (B, out, H / stride, W / stride), on CPUs in channels-last order.
    """
    if not takes_onednn(x, weight):
        out = F.conv2d(x, weight, bias, stride)
        out = out if add is None else out + add
        return out.relu() if relu else out
    tokens = x[:, :, ::stride, ::stride].permute(0, 2, 3, 1)  # (B, H, W, in)
    if add is not None:
        add = add.permute(0, 2, 3, 1)
    return linear(tokens, weight.flatten(1), bias, add=add, relu=relu).permute(0, 3, 1, 2)


def products(a: Tensor, b: Tensor) -> Tensor:
    """All products of rows: (B, n, C), (B, m, C) -> (B, n, m)."""
    if torch.compiler.is_compiling() or not takes_onednn(a, b):
        return a @ b.transpose(1, 2)
    return torch.stack([linear(x, y) for x, y in zip(a, b)])


class Linear(nn.Linear):
    """``torch.nn.Linear`` through :func:`linear`."""

    def forward(self, x: Tensor, *, add: Tensor | None = None, relu: bool = False) -> Tensor:
        """Map (..., in) to (..., out)."""
        return linear(x, self.weight, self.bias, add=add, relu=relu)


class PointwiseConv(nn.Conv2d):
    """``torch.nn.Conv2d`` of size 1 through :func:`pointwise_conv`."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in, H, W) to (B, out, H, W)."""
        return pointwise_conv(x, self.weight, self.bias)


def use_onednn(module: nn.Module) -> nn.Module:
    """Turn the plain linear layers inside of a module, PyTorch's and mmcv's, into :class:`Linear`, and return it.

    Parameters, names and hooks stay; subclasses, which may compute something else, are left alone.
    """
    for layer in module.modules():
        if type(layer) in (nn.Linear, MmcvLinear):
            layer.__class__ = Linear  # it has the same attributes; a new layer would lose hooks and shared weights
    return module


def _save(ctx, inputs: tuple, output: Tensor) -> None:
    x, weight, _, _, relu = inputs
    ctx.save_for_backward(x, weight, output if relu else None)


def _gradients(ctx, grad: Tensor, multiply: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor | None, ...]:
    """The gradients of a linear map's inputs; ``multiply`` is :func:`product` or does the same."""
    x, weight, out = ctx.saved_tensors
    if out is not None:
        grad = torch.ops.aten.threshold_backward(grad, out, 0)
    need_x, need_weight, need_bias, need_add, _ = ctx.needs_input_grad
    grad_x = multiply(grad, weight.T) if need_x else None
    grad_weight = None
    if need_weight:
        # oneDNN is faster with the shorter side first.
        grad_weight = multiply(grad.T, x.T) if weight.shape[0] <= weight.shape[1] else multiply(x.T, grad.T).T
    return grad_x, grad_weight, grad.sum(0) if need_bias else None, grad if need_add else None, None


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *inputs) -> Tensor:
        x, weight, bias, add, relu = inputs
        out = product(x, weight, bias, add=add, relu=relu)
        _save(ctx, inputs, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, grad, product)


@torch.library.custom_op('mask2former::linear', mutates_args=(), device_types='cpu')
def traced_linear(x: Tensor, weight: Tensor, bias: Tensor | None, add: Tensor | None, relu: bool) -> Tensor:
    """``_Linear`` as an operator, which torch.compile keeps as it is instead of taking PyTorch's own."""
    if x.numel() and weight.numel():
        return product(x, weight, bias, add=add, relu=relu)
    out = F.linear(x, weight, bias)
    out = out if add is None else out + add
    return out.relu() if relu else out


@traced_linear.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, add: Tensor | None, relu: bool) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[0])


def _traced_backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    return _gradients(ctx, grad, lambda a, b: traced_linear(a, b, None, None, False))


traced_linear.register_autograd(_traced_backward, setup_context=_save)
