"""What pickle files hold is read as pickle and numpy read it, and what is changed in them at random does no harm."""

import collections
import io
import pickle
import random

import numpy as np
import pytest
import torch

from mask2former.unpickle import load_pickle, loads_pickle, to_tensors


@pytest.mark.parametrize('protocol', range(6))
def test_arrays_are_read_as_numpy_reads_them(tmp_path, protocol):
    generator = np.random.default_rng(0)
    arrays = dict(
        single=generator.normal(size=(3, 4)).astype('f4'),
        half=generator.normal(size=5).astype('f2'),
        columns=np.asfortranarray(generator.normal(size=(2, 3, 4))),
        big=np.arange(6).astype('>i4').reshape(2, 3),
        scalar=np.array(3),
        empty=np.zeros((0, 3)),
        truth=np.array([True, False]),
        strided=np.arange(10)[::3],
    )
    content = dict(
        arrays=collections.OrderedDict(arrays),
        number=np.float32(2.5),
        names=['a', ('b', 1)],
        tensor=torch.arange(3.0),
        weight=torch.nn.Parameter(torch.ones(2)),
    )
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(content, protocol=protocol))
    read = to_tensors(load_pickle(tmp_path / 'a.pkl'))
    for name, array in arrays.items():
        assert read['arrays'][name].shape == array.shape and np.array_equal(read['arrays'][name].numpy(), array), name
        assert read['arrays'][name].numpy().dtype == array.dtype.newbyteorder('='), name
    assert read['number'] == 2.5 and read['names'] == ['a', ('b', 1)]
    assert torch.equal(read['tensor'], content['tensor']) and torch.equal(read['weight'], content['weight'])


@pytest.mark.parametrize('instruction', [b'r\xff\xff\xff\x7f', b'p2000000000\n'])
def test_a_place_in_the_memo_takes_no_more_memory_than_the_file(instruction):
    """Pickle itself would take 34 GB for it."""
    with pytest.raises(pickle.UnpicklingError, match='its memo is larger than the file'):
        loads_pickle(b'\x80\x02]' + instruction + b'.')
    assert loads_pickle(b'\x80\x02]r\x05\0\0\0.') == []


def test_ten_thousand_files_with_changed_bytes_do_no_harm():
    """Each is read, or an exception says that it cannot be: none crashes, and arrays hold what they say."""
    numbers = random.Random(0)
    array = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    content = dict(a=array, b=np.float64(2), c=['x', (1, None)], e=array[:, 1:].T.copy())
    sound = [pickle.dumps(content, protocol=protocol) for protocol in (2, 3, 4, 5)] * 4
    sound.append(pickle.dumps(dict(content, d=torch.ones(2)), protocol=2))  # which takes ten times as long to read
    opcodes = [ord(getattr(pickle, name)) for name in dir(pickle) if name.isupper() and _is_byte(getattr(pickle, name))]
    read = 0
    for _ in range(10_000):
        data = bytearray(numbers.choice(sound))
        for _ in range(numbers.choice((1, 1, 2, 5))):
            place = numbers.randrange(len(data))
            change = numbers.randrange(4)
            if change == 0:
                data[place] = numbers.randrange(256)
            elif change == 1:
                data[place] = numbers.choice(opcodes)
            elif change == 2:
                del data[place : place + numbers.randrange(1, 9)]
            else:
                data[place:place] = data[numbers.randrange(len(data)) :][: numbers.randrange(1, 40)]
        try:
            value = loads_pickle(bytes(data))
        except Exception:
            continue
        read += 1
        for array in _arrays(value):
            assert array.dtype.kind in 'fiub' and array.nbytes == array.size * array.dtype.itemsize
            pickle.dump(array, io.BytesIO())  # looks at every byte
    assert 500 < read < 9_000


def _is_byte(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == 1


def _arrays(value: object) -> list[np.ndarray]:
    if isinstance(value, np.ndarray):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [array for item in inner for array in _arrays(item)]
