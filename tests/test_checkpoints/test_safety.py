"""Files that want to run code are refused by the name of what they ask for."""

import collections
import functools
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from mask2former.checkpoints.read import read_raw
from mask2former.errors import CheckpointError


class Runs:
    """Unpickled, it makes a file."""

    def __init__(self, function, *args) -> None:
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def attacks(target: Path) -> dict[str, object]:
    return {
        'posix.system': Runs(os.system, f'touch {target}'),
        'builtins.eval': Runs(eval, f"open('{target}', 'w')"),
        'builtins.getattr': Runs(getattr, 'text', 'upper'),
        'pathlib._local.Path|pathlib.Path|pathlib.PosixPath': target,
        'torch.jit._serialization.load|torch.load|torch.serialization.load': Runs(torch.load, str(target)),
        'numpy.load|numpy.lib._npyio_impl.load|numpy.lib.npyio.load': Runs(np.load, str(target), None, True),
        'functools.partial': Runs(functools.partial, print),
        'builtins.print': collections.OrderedDict(model=Runs(print, 'x')),
    }


@pytest.mark.parametrize('number', range(8))
@pytest.mark.parametrize(('kind', 'protocol'), [('pkl', 2), ('pkl', 4), ('pth', 2), ('legacy.pth', 2), ('bin', 2)])
def test_code_is_refused_by_name(tmp_path, number, kind, protocol):
    touched = tmp_path / 'touched'
    names, attack = list(attacks(touched).items())[number]
    path = tmp_path / f'bad.{kind}'
    content = dict(model={'sem_seg_head.a': np.zeros(2)}, __author__='me', evil=attack)
    if kind == 'pkl':
        path.write_bytes(pickle.dumps(content, protocol=protocol))
    else:
        torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=kind != 'legacy.pth')
    with pytest.raises(CheckpointError) as error:
        read_raw(path)
    message = str(error.value)
    assert message.startswith(f"'{path}' is not loaded, because it holds more than weights") and 'run code' in message
    assert kind == 'pkl' or '.' in message
    if kind == 'pkl':
        # pickle calls builtins __builtin__ where Python 2 shall read it
        assert any(name in message.replace('__builtin__', 'builtins') for name in names.split('|')), message
    assert not touched.exists()


@pytest.mark.parametrize(('zipped', 'told'), [(False, r'is not loaded, .*posix.system'), (True, 'is no checkpoint')])
def test_a_tensor_s_own_pickle_runs_nothing(tmp_path, zipped, told):
    """torch pickles a tensor's storage as a file within the file, which torch itself would read with any code."""
    inner = io.BytesIO()
    torch.save(dict(a=Runs(os.system, f'touch {tmp_path / "touched"}')), inner, _use_new_zipfile_serialization=zipped)
    attack = Runs(torch.storage._load_from_bytes, inner.getvalue())
    (tmp_path / 'bad.pkl').write_bytes(pickle.dumps(dict(model=dict(a=attack)), protocol=2))
    with pytest.raises(CheckpointError, match=rf"bad.pkl' {told}"):
        read_raw(tmp_path / 'bad.pkl')
    assert not (tmp_path / 'touched').exists()
