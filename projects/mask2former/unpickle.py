"""Read pickled numbers, texts and containers without running any code that the file names.

What a pickle file asks for by name is looked up in a table, by default the one below; what is not there is refused.
"""

import io
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from mask2former.pickled_arrays import NUMPY


def _encode(text: str, encoding: str) -> bytes:
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f"bytes in the encoding '{encoding}'")
    return text.encode('latin1')


def _bytes(data: bytes | bytearray = b'') -> bytes | bytearray:
    if not isinstance(data, (bytes, bytearray)):  # a number would take so much memory
        raise pickle.UnpicklingError(f'bytes of a {type(data).__name__}')
    return data


def _storage(data: bytes) -> Any:
    if data.startswith(b'PK'):  # torch writes none here, and it could unpack to a thousand times its size
        raise pickle.UnpicklingError('a tensor is a zip file')
    return torch.load(io.BytesIO(data), map_location='cpu', weights_only=True)


def _rebuild_tensor(storage: Any, offset: int, size: tuple, stride: tuple, requires_grad: bool, hooks: Any) -> Tensor:
    return torch._utils._rebuild_tensor_v2(storage, offset, size, stride, False, OrderedDict())


def _rebuild_parameter(data: Tensor, requires_grad: bool, hooks: Any) -> Tensor:
    return data


ALLOWED = NUMPY | {
    'collections.OrderedDict': OrderedDict,
    '_codecs.encode': _encode,
    'torch._utils._rebuild_tensor_v2': _rebuild_tensor,
    'torch._utils._rebuild_parameter': _rebuild_parameter,
    'torch.storage._load_from_bytes': _storage,
}
for _builtins in ('builtins', '__builtin__'):  # Python 3 and 2
    ALLOWED |= {f'{_builtins}.bytes': _bytes, f'{_builtins}.bytearray': _bytes}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, allowed: Mapping[str, Any]) -> None:
        super().__init__(file, encoding='latin1')
        self.allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.allowed[f'{module}.{name}']
        except KeyError:
            raise pickle.UnpicklingError(f'it asks for {module}.{name}') from None


# What follows an instruction: so many bytes, or one of the negative numbers.
_LINE, _TWO_LINES, _LONG_BINPUT, _PUT, _NOTHING_IS_THIS = range(-10, -5)
_LENGTHS = {-2: 1, -3: 4, -4: 4, -5: 8}  # pickletools' numbers: bytes of the length of what follows
_FOLLOWS = [_NOTHING_IS_THIS] * 256
for _each in pickletools.opcodes:
    _size = 0 if _each.arg is None else _each.arg.n
    if _each.arg is not None and _size == pickletools.UP_TO_NEWLINE:
        _size = _TWO_LINES if _each.arg.name == 'stringnl_noescape_pair' else _LINE
    _FOLLOWS[ord(_each.code)] = {'LONG_BINPUT': _LONG_BINPUT, 'PUT': _PUT}.get(_each.name, _size)


def check_memo(data: bytes) -> None:
    """See that no place in the memo is further than the file has bytes: pickle makes room for all places before one.

    Raises:
        pickle.UnpicklingError: If one is, or if the file has something that is no pickle.
    """
    at, end, stop = 0, len(data), pickle.STOP[0]
    while at < end and (code := data[at]) != stop:
        follows = _FOLLOWS[code]
        at += 1
        place = 0
        if follows >= 0:
            at += follows
            continue
        if follows == _LONG_BINPUT:
            place = int.from_bytes(data[at : at + 4], 'little')
            at += 4
        elif follows in _LENGTHS:
            width = _LENGTHS[follows]
            at += width + int.from_bytes(data[at : at + width], 'little')
        elif follows == _NOTHING_IS_THIS:
            raise pickle.UnpicklingError(f'{code:#x} is no instruction')
        else:
            line = data[at : data.find(b'\n', at)]
            at = (data.find(b'\n', at) + 1) or end
            if follows == _TWO_LINES:
                at = (data.find(b'\n', at) + 1) or end
            elif follows == _PUT:
                place = int(line)
        if place > end:
            raise pickle.UnpicklingError('its memo is larger than the file')


def load_pickle(path: str | Path, allowed: Mapping[str, Any] = ALLOWED) -> Any:
    """Read a pickle file of numbers, texts, containers, tensors and numpy arrays, which are
    :class:`~mask2former.pickled_arrays.NumberArray`.

    Args:
        path: The file.
        allowed: What it gets for what it asks for by name, such as ``collections.OrderedDict``.

    Raises:
        pickle.UnpicklingError: If the file asks for anything else, which the message names after ``it asks for``, or if
            an array does not hold what it says. A damaged file can raise anything.
    """
    return loads_pickle(Path(path).read_bytes(), allowed)


def loads_pickle(data: bytes, allowed: Mapping[str, Any] = ALLOWED) -> Any:
    """As :func:`load_pickle`, of what is in the file."""
    check_memo(data)
    return _Unpickler(io.BytesIO(data), allowed).load()


def to_tensors(value: Any, _made: dict[int, Any] | None = None) -> Any:
    """The same with tensors in the place of the arrays in it; what is in it twice is converted once."""
    made = {} if _made is None else _made  # a file of a kilobyte can nest its lists into 2 ** 60
    if id(value) not in made:
        if isinstance(value, np.ndarray):
            native = value.astype(value.dtype.newbyteorder('='), copy=False)
            made[id(value)] = torch.from_numpy(np.ascontiguousarray(native)).reshape(value.shape)
        elif isinstance(value, dict):
            made[id(value)] = {key: to_tensors(item, made) for key, item in value.items()}
        elif isinstance(value, (list, tuple)):
            made[id(value)] = type(value)(to_tensors(item, made) for item in value)
        else:
            return value
    return made[id(value)]
