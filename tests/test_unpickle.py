"""What pickle files hold is read as pickle and numpy read it."""

import collections
import pickle

import numpy as np
import pytest
import torch

from mask2former.unpickle import load_pickle, to_tensors


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
