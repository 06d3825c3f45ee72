"""Read a pickle file of arrays, such as detectron2's ``.pkl``, without running any code that it names.

What a pickle file asks for by name is looked up in one table below; whatever is not there is refused. numpy's own
functions are not called either: stand-ins of a few lines take the numbers, and see first that there are as many as the
file says.
"""

import io
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


class _DType:
    """Stands in for ``numpy.dtype``: a plain number's type and its byte order."""

    def __init__(self, name: str, align: bool = False, copy: bool = True) -> None:
        if not isinstance(name, str) or not re.fullmatch(r'[fiu][1248]|b1', name):
            raise pickle.UnpicklingError(f"an array of '{name}' is not one of numbers")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple) -> None:
        if state[1] == '>':
            self.dtype = self.dtype.newbyteorder('>')
        if any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError('an array of records is not one of numbers')


class _Array:
    """Stands in for ``numpy.ndarray``."""

    def __init__(self, kind: Any = None, shape: Any = None, code: Any = None) -> None:
        self.tensor: Tensor | None = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        self.tensor = _to_tensor(data, dtype, shape, 'F' if fortran else 'C')


def _to_tensor(data: Any, dtype: Any, shape: Any, order: str = 'C') -> Tensor:
    data = data.encode('latin1') if isinstance(data, str) else data
    if not isinstance(dtype, _DType) or not isinstance(data, (bytes, bytearray)) or not isinstance(shape, tuple):
        raise pickle.UnpicklingError('an array holds something else than numbers')
    if not all(isinstance(n, int) and n >= 0 for n in shape):
        raise pickle.UnpicklingError(f'an array has the impossible shape {shape}')
    array = np.frombuffer(bytearray(data), dtype=dtype.dtype).reshape(shape, order=order)  # there must be as many
    return torch.from_numpy(np.ascontiguousarray(array.astype(dtype.dtype.newbyteorder('='))).reshape(shape))


def _from_buffer(data: Any, dtype: Any, shape: Any, order: str) -> _Array:
    array = _Array()
    array.tensor = _to_tensor(data, dtype, shape, order)
    return array


def _scalar(dtype: Any, data: Any = None) -> int | float:
    return _to_tensor(data, dtype, ()).item()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f"bytes in the encoding '{encoding}'")
    return text.encode('latin1')


def _bytes(data: bytes | bytearray = b'') -> bytes | bytearray:
    if not isinstance(data, (bytes, bytearray)):  # a number would take so much memory
        raise pickle.UnpicklingError(f'bytes of a {type(data).__name__}')
    return data


def _storage(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), map_location='cpu', weights_only=True)


def _rebuild_tensor(storage: Any, offset: int, size: tuple, stride: tuple, requires_grad: bool, hooks: Any) -> Tensor:
    return torch._utils._rebuild_tensor_v2(storage, offset, size, stride, False, OrderedDict())


def _rebuild_parameter(data: Tensor, requires_grad: bool, hooks: Any) -> Tensor:
    return data


ALLOWED = {
    'collections.OrderedDict': OrderedDict,
    '_codecs.encode': _encode,
    'numpy.ndarray': _Array,
    'numpy.dtype': _DType,
    'torch._utils._rebuild_tensor_v2': _rebuild_tensor,
    'torch._utils._rebuild_parameter': _rebuild_parameter,
    'torch.storage._load_from_bytes': _storage,
}
for _builtins in ('builtins', '__builtin__'):  # Python 3 and 2
    ALLOWED |= {f'{_builtins}.bytes': _bytes, f'{_builtins}.bytearray': _bytes}
for _core in ('numpy.core', 'numpy._core'):  # numpy 1 and 2
    ALLOWED |= {
        f'{_core}.multiarray._reconstruct': _Array,
        f'{_core}.multiarray.scalar': _scalar,
        f'{_core}.numeric._frombuffer': _from_buffer,
    }


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[f'{module}.{name}']
        except KeyError:
            raise pickle.UnpicklingError(f'GLOBAL {module}.{name}') from None


def load_pickle(path: str | Path) -> Any:
    """Read a pickle file of numbers, texts, containers, numpy arrays and tensors; arrays become tensors.

    Raises:
        pickle.UnpicklingError: If the file asks for anything else, which the message names after ``GLOBAL``, or if an
            array does not hold what it says.
    """
    with open(path, 'rb') as file:
        return _replace_arrays(_Unpickler(file, encoding='latin1').load())


def _replace_arrays(value: Any) -> Any:
    if isinstance(value, _Array):
        if value.tensor is None:
            raise pickle.UnpicklingError('an array holds nothing')
        return value.tensor
    if isinstance(value, dict):
        return {key: _replace_arrays(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_replace_arrays(item) for item in value)
    return value
