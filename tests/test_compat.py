import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader

from mask2former import compat
from mask2former.checkpoints.read import explain_unreadable, read_raw
from mask2former.errors import CheckpointError


def run_compat(tmp_path: Path, code: str) -> str:
    """Run code in a fresh interpreter that has the folder ``tmp_path`` first on its path and ``compat`` loaded from its
    file, without the package around it; returns what it printed."""
    setup = (
        f'import sys; sys.path.insert(0, {str(tmp_path)!r})\n'
        'import importlib.util\n'
        f"spec = importlib.util.spec_from_file_location('compat', {compat.__file__!r})\n"
        'compat = importlib.util.module_from_spec(spec)\n'
        'spec.loader.exec_module(compat)\n'
    )
    process = subprocess.run([sys.executable, '-c', setup + code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


def fake_mmcv(tmp_path: Path, compiled: bool) -> None:
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '__init__.py').touch()
    if compiled:
        (tmp_path / 'mmcv' / '_ext.py').write_text('def nms():\n    return "the real nms"\n')


def test_placeholder_stands_in_for_the_missing_extension(tmp_path):
    fake_mmcv(tmp_path, compiled=False)
    code = 'print(compat.provide_mmcv_ext())\nfrom mmcv import _ext\nprint(type(_ext).__name__)'
    assert run_compat(tmp_path, code) == 'True\n_MissingExtension'


def test_placeholder_names_the_op_and_the_fix():
    extension = compat._MissingExtension('mmcv._ext')
    with pytest.raises(ModuleNotFoundError, match=r"compiled op 'nms' was called.*pip install mmcv"):
        extension.nms(1, 2)


def test_placeholder_has_no_special_attributes():
    assert not hasattr(compat._MissingExtension('mmcv._ext'), '__path__')


def test_full_mmcv_is_left_alone(tmp_path):
    fake_mmcv(tmp_path, compiled=True)
    code = 'print(compat.provide_mmcv_ext())\nfrom mmcv import _ext\nprint(_ext.nms())'
    assert run_compat(tmp_path, code) == 'False\nthe real nms'


def test_full_mmcv_that_is_already_imported_is_left_alone(tmp_path):
    fake_mmcv(tmp_path, compiled=True)
    code = 'import mmcv._ext\nprint(compat.provide_mmcv_ext())\nprint(mmcv._ext.nms())'
    assert run_compat(tmp_path, code) == 'False\nthe real nms'


def test_no_more_than_the_last_values_are_kept(tmp_path):
    """Of what mmengine logs, and of what a checkpoint of a longer history has."""
    hub = MessageHub('history')
    for value in range(compat.HISTORY + 3):
        hub.update_scalar('train/loss', value)
    values, counts = hub.get_scalar('train/loss').data
    assert values.tolist() == list(range(3, compat.HISTORY + 3)) and len(counts) == compat.HISTORY
    length = 2 * compat.HISTORY
    older = HistoryBuffer(range(length), [1] * length, max_length=10**6)
    torch.save(dict(history=older), tmp_path / 'older.pth')
    history = torch.load(tmp_path / 'older.pth', weights_only=True)['history']
    assert history.mean(length) == older.mean()
    history.update(-1.0)
    assert history.data[0].tolist() == [*range(compat.HISTORY + 1, length), -1]


def test_checkpoints_of_mmengine_load_without_unpickling_code(tmp_path):
    history = HistoryBuffer()
    history.update(0.5)
    history.update(1.5)
    state = np.random.get_state()
    torch.save(dict(history=history, best=np.float64(41.5), numpy=state), tmp_path / 'checkpoint.pth')
    for _ in range(2):  # what was loaded is saved as it was
        loaded = torch.load(tmp_path / 'checkpoint.pth', weights_only=True)
        assert type(loaded['history']) is HistoryBuffer and type(loaded['history'].data[0]) is np.ndarray
        assert loaded['history'].data[0].tolist() == [0.5, 1.5] and loaded['history'].statistics('mean') == 1.0
        assert type(loaded['best']) is np.float64 and loaded['best'] == 41.5
        assert np.array_equal(loaded['numpy'][1], state[1]) and loaded['numpy'][1].dtype == state[1].dtype
        np.random.set_state(loaded['numpy'])
        torch.save(loaded, tmp_path / 'checkpoint.pth')


@pytest.mark.parametrize(
    ('function', 'args'),
    [
        (np.ndarray, ((1,), np.dtype('O'), bytes(8))),
        (np.ndarray, ((1,), 'O', bytes(8))),
        (np.dtype, ('O',)),
        (np.dtype, ([('a', 'i4')],)),
        (np.float64(0).__reduce__()[0], (np.dtype('O'), bytes(8))),
        (np.float64(0).__reduce__()[0], (np.dtype('f8'), bytes(7))),
    ],
)
def test_numpy_is_not_called_by_a_checkpoint(tmp_path, function, args):
    """``numpy.ndarray((1,), 'O', data)`` would take the data for the addresses of objects."""

    class Asks:
        def __reduce__(self):
            return function, args

    torch.save(dict(state_dict={'head.norm.weight': torch.ones(1)}, asks=Asks()), tmp_path / 'checkpoint.pth')
    with pytest.raises(CheckpointError, match='is no checkpoint or is damaged'):
        read_raw(tmp_path / 'checkpoint.pth')
    with (
        pytest.raises(CheckpointError, match='is no checkpoint or is damaged'),
        explain_unreadable(str(tmp_path / 'checkpoint.pth')),
    ):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'checkpoint.pth'), 'cpu')


def test_statistics_are_not_taken_from_a_checkpoint(tmp_path):
    history = HistoryBuffer([1.0], [1])
    before = dict(HistoryBuffer._statistics_methods)
    history.__dict__['_statistics_methods'] = {'mean': np.float64(3)}  # which its __getstate__ saves
    torch.save(dict(history=history), tmp_path / 'checkpoint.pth')
    torch.load(tmp_path / 'checkpoint.pth', weights_only=True)
    assert HistoryBuffer._statistics_methods == before


def test_installing_again_changes_nothing():
    before = len(torch.serialization.get_safe_globals())
    compat.install()
    assert len(torch.serialization.get_safe_globals()) == before


def test_checkpoints_with_code_do_not_load(tmp_path):
    torch.save(dict(code=subprocess.Popen), tmp_path / 'checkpoint.pth')
    with pytest.raises(Exception, match='Popen'):
        torch.load(tmp_path / 'checkpoint.pth', weights_only=True)


def test_checkpoints_get_no_other_attribute_than_a_history_statistic(tmp_path):

    class Sneaky:
        def __reduce__(self):
            return getattr, (HistoryBuffer, '__init__')

    torch.save(dict(code=Sneaky()), tmp_path / 'checkpoint.pth')
    with pytest.raises(Exception, match="asks for attribute '__init__'"):
        torch.load(tmp_path / 'checkpoint.pth', weights_only=True)


def test_configs_of_mmdet_can_be_inherited_from(tmp_path):
    (tmp_path / 'mine.py').write_text("_base_ = 'mmdet::_base_/default_runtime.py'\n")
    assert Config.fromfile(tmp_path / 'mine.py').default_scope == 'mmdet'


def test_a_base_of_a_package_that_is_not_installed_is_named(tmp_path):
    (tmp_path / 'mine.py').write_text("_base_ = 'mmfewshot::_base_/default_runtime.py'\n")
    with pytest.raises(ModuleNotFoundError, match='mmfewshot is not installed'):
        Config.fromfile(tmp_path / 'mine.py')
