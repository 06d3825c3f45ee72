import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from mask2former import compat


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
    assert (
        run_compat(
            tmp_path,
            ('from mmcv import _ext\nprint(compat.provide_mmcv_ext(), isinstance(_ext, compat._MissingExtension))'),
        )
        == 'True True'
    )


def test_placeholder_names_the_op_and_the_mend():
    extension = compat._MissingExtension('mmcv._ext')
    with pytest.raises(ModuleNotFoundError, match=r"compiled op 'nms' was called.*pip install mmcv"):
        extension.nms(1, 2)


def test_placeholder_has_no_special_attributes():
    assert not hasattr(compat._MissingExtension('mmcv._ext'), '__path__')


def test_full_mmcv_is_left_alone(tmp_path):
    fake_mmcv(tmp_path, compiled=True)
    assert (
        run_compat(tmp_path, ('from mmcv import _ext\nprint(compat.provide_mmcv_ext(), _ext.nms())'))
        == 'False the real nms'
    )


def test_full_mmcv_that_is_already_imported_is_left_alone(tmp_path):
    fake_mmcv(tmp_path, compiled=True)
    assert (
        run_compat(tmp_path, ('import mmcv._ext\nprint(compat.provide_mmcv_ext(), mmcv._ext.nms())'))
        == 'False the real nms'
    )


def test_checkpoints_of_mmengine_load_without_unpickling_code(tmp_path):
    history = HistoryBuffer()
    history.update(0.5)
    checkpoint = dict(message_hub=dict(log_scalars={'loss': history}), best=np.float64(41.5))
    torch.save(checkpoint, tmp_path / 'checkpoint.pth')
    loaded = torch.load(tmp_path / 'checkpoint.pth', weights_only=True)
    assert loaded['message_hub']['log_scalars']['loss'].current() == 0.5
    assert loaded['best'] == 41.5


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
