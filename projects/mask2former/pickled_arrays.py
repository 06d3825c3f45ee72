"""Stand-ins for what a pickle of numpy arrays asks for: they take numbers, and nothing else.

Of numpy nothing is called by a file, since ``numpy.ndarray((1,), 'O', data)`` takes the data for addresses. These few
lines see first that there are as many numbers as the file says. Readers of pickles get them by :data:`NUMPY`:
:mod:`mask2former.unpickle` and, through :mod:`mask2former.compat`, ``torch.load(weights_only=True)``.
"""

import math
import pickle
import re
from typing import Any

import numpy as np


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


class NumberArray(np.ndarray):
    """Stands in for ``numpy.ndarray``: an array which a file can fill with as many numbers as it says, in no other way.

    It is pickled as the plain array that it holds.
    """

    def __new__(cls, *args: Any) -> 'NumberArray':
        if args:
            raise pickle.UnpicklingError('an array is asked for in another way than numpy does')
        return super().__new__(cls, 0)

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        data = data.encode('latin1') if isinstance(data, str) else data
        if not isinstance(dtype, _DType) or not isinstance(data, (bytes, bytearray)) or not isinstance(shape, tuple):
            raise pickle.UnpicklingError('an array holds something else than numbers')
        if not all(isinstance(n, int) and n >= 0 for n in shape):
            raise pickle.UnpicklingError(f'an array has the impossible shape {shape}')
        if math.prod(shape) * dtype.dtype.itemsize != len(data):
            raise pickle.UnpicklingError(f'an array of the shape {shape} holds {len(data)} bytes')
        super().__setstate__((1, shape, dtype.dtype, bool(fortran), bytes(data)))  # type: ignore[arg-type]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.view(np.ndarray).__reduce_ex__(protocol)


def _reconstruct(kind: Any, shape: Any, code: Any) -> NumberArray:
    return NumberArray()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: str) -> NumberArray:
    array = NumberArray()
    array.__setstate__((1, shape, dtype, order == 'F', data))
    return array


def _scalar(dtype: Any, data: Any = None) -> Any:
    return _from_buffer(data, dtype, (), 'C')[()]


NUMPY: dict[str, Any] = {'numpy.ndarray': NumberArray, 'numpy.dtype': _DType}
for _core in ('numpy.core', 'numpy._core'):  # numpy 1 and 2
    NUMPY |= {
        f'{_core}.multiarray._reconstruct': _reconstruct,
        f'{_core}.multiarray.scalar': _scalar,
        f'{_core}.numeric._frombuffer': _from_buffer,
    }
