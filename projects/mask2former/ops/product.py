"""Products of matrices on CPUs, through oneDNN or MKL, whichever is the faster one.

PyTorch's own go through MKL, which uses AVX-512 on Intel's processors alone: on an AMD EPYC that has it MKL reached 190
GFLOP/s where oneDNN, which PyTorch contains as well, reached 430. But oneDNN wakes all threads for the smallest
product, and where there is no AVX-512 MKL is the faster one, most of all for the gradients of weights and for many
products at once (docs/performance.md). The choice is made by sizes and instruction set, not by a timing, so that all
runs have equal bits.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

HAS_ONEDNN = torch.backends.mkldnn.is_available()
HAS_MKL = torch.backends.mkl.is_available()
MKL_IS_FAST = HAS_MKL and torch.backends.cpu.get_cpu_capability() == 'AVX2'
MAX_SMALL = 2**21  # multiplications of a product that is over before other threads are awake


def takes_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether :func:`product` can and should multiply these; an exported model keeps PyTorch's own operators."""
    if not HAS_ONEDNN or x.device.type != 'cpu' or not x.dtype == weight.dtype == torch.float32:
        return False
    if torch.is_autocast_enabled('cpu'):
        return False
    if torch.compiler.is_compiling():  # sizes may be unknown then
        return not torch.compiler.is_exporting()
    return x.numel() > 0 and weight.numel() > 0


def product(
    a: Tensor, b: Tensor, bias: Tensor | None = None, *, add: Tensor | None = None, relu: bool = False
) -> Tensor:
    """relu(a @ b.T + bias + add) of matrices in any memory layout, without a graph for gradients.

    Args:
        a: (n, k).
        b: (m, k).
        bias: (m,).
        add: (n, m).
        relu: Whether there is a ReLU; oneDNN's makes NaN 0.

    Returns:
        (n, m).
    """
    if _takes_mkl(len(a), b.numel()):
        out = F.linear(a, b, bias)
        out = out if add is None else out.add_(add)
        return out.relu_() if relu else out
    if bias is not None:
        bias = bias.contiguous()  # oneDNN takes it for that
    if add is None:
        return torch.ops.mkldnn._linear_pointwise(a, _packed(b), bias, 'relu' if relu else 'none', [], '')
    out = torch.ops.mkldnn._linear_pointwise.binary(a, add, _packed(b), bias, 'add')
    return out.relu_() if relu else out


def batched_product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b.T of each matrix of two batches: (s, n, k), (s, m, k) -> (s, n, m)."""
    if _takes_mkl(a.shape[1], b[0].numel()):
        return a @ b.transpose(1, 2)
    return torch.stack([product(x, y) for x, y in zip(a, b, strict=True)])


def add_batched_product(out: Tensor, a: Tensor, b: Tensor) -> None:
    """Add the same to ``out``, (s, n, m)."""
    if _takes_mkl(a.shape[1], b[0].numel()):
        out.baddbmm_(a, b.transpose(1, 2))
        return
    for total, x, y in zip(out, a, b, strict=True):
        total += product(x, y)


def _takes_mkl(rows: int, numbers: int) -> bool:
    """Whether MKL multiplies a matrix of so many rows with one of so many numbers."""
    return MKL_IS_FAST or HAS_MKL and rows * numbers <= MAX_SMALL


def _packed(b: Tensor) -> Tensor:
    """The second matrix of a product, (m, k), or a copy of it where its rows or columns lie apart.

    oneDNN multiplies by such a matrix with its reference code, which takes 500 times as long and more.
    """
    return b if b.is_contiguous() or b.T.is_contiguous() else b.contiguous()
