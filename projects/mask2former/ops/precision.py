"""The precision of what half precision is too coarse for: float32, or float64 where that is given."""

import torch
from torch import Tensor


def full_dtype(*dtypes: torch.dtype) -> torch.dtype:
    """float64 if one of the types is float64, else float32."""
    return torch.float64 if torch.float64 in dtypes else torch.float32


def full_precision(*tensors: Tensor) -> list[Tensor]:
    """The tensors in the :func:`full_dtype` of their types."""
    dtype = full_dtype(*(x.dtype for x in tensors))
    return [x.to(dtype) for x in tensors]
