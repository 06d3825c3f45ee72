"""Multi-scale deformable attention by a kernel of our own, for CPU and CUDA tensors.

``torch.compile`` and ``torch.export`` see operators, which are opaque to them: they keep one node each. Elsewhere the
kernel is called without them, as calling the first operator imports ``torch._dynamo``, which takes seconds.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import cpu, triton

# The functions ``forward`` and ``backward`` for tensors on a device. Looked up now and not at each call, which
# torch.compile would trace.
KERNELS = {'cpu': cpu, 'cuda': triton} if triton.is_available() else {'cpu': cpu}


def pairs(level_shapes: list[int]) -> list[tuple[int, int]]:
    """Sizes (h, w) from the flat list that an operator can take."""
    return list(zip(level_shapes[::2], level_shapes[1::2]))


def can_run_native(value: Tensor) -> bool:
    """Whether there is a kernel for tensors on this device."""
    return value.device.type in KERNELS


@torch.library.custom_op('mask2former::ms_deform_attn', mutates_args=(), device_types=('cpu', 'cuda'))
def attend(value: Tensor, level_shapes: list[int], locations: Tensor, weights: Tensor) -> Tensor:
    """See :func:`mask2former.ops.ms_deform_attn`; ``level_shapes`` is flat here."""
    return KERNELS[value.device.type].forward(value, pairs(level_shapes), locations, weights)


@torch.library.custom_op('mask2former::ms_deform_attn_backward', mutates_args=(), device_types=('cpu', 'cuda'))
def attend_backward(
    grad: Tensor, value: Tensor, level_shapes: list[int], locations: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of ``value``, ``locations`` and ``weights`` from that of the result."""
    return KERNELS[value.device.type].backward(grad, value, pairs(level_shapes), locations, weights)


@attend.register_fake
def _(value: Tensor, level_shapes: list[int], locations: Tensor, weights: Tensor) -> Tensor:
    return value.new_empty(locations.shape[0], locations.shape[1], value.shape[2] * value.shape[3])


@attend_backward.register_fake
def _(
    grad: Tensor, value: Tensor, level_shapes: list[int], locations: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    inputs = (value, locations, weights)
    value, locations, weights = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in inputs)
    return value, locations, weights


def _save(ctx, inputs: tuple, output: Tensor) -> None:
    value, ctx.level_shapes, locations, weights = inputs
    ctx.save_for_backward(value, locations, weights)


def _gradients(ctx, grad: Tensor, backward: Callable[..., tuple]) -> tuple[Tensor | None, ...]:
    value, locations, weights = ctx.saved_tensors
    grads = backward(grad.contiguous(), value, ctx.level_shapes, locations, weights)
    return grads[0], None, *grads[1:]


def _traced_backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    return _gradients(ctx, grad, attend_backward)


attend.register_autograd(_traced_backward, setup_context=_save)


class _Attend(torch.autograd.Function):
    """The same as the operators."""

    @staticmethod
    def forward(ctx, *inputs) -> Tensor:
        out = KERNELS[inputs[0].device.type].forward(*inputs)
        _save(ctx, inputs, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        return _gradients(ctx, grad, KERNELS[grad.device.type].backward)


def ms_deform_attn_native(
    value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """As :func:`mask2former.ops.ms_deform_attn`."""
    if torch.compiler.is_compiling():
        return attend(value, [size for shape in level_shapes for size in shape], locations, weights)
    return _Attend.apply(value, level_shapes, locations, weights)
