"""With --json the output of a tool is one JSON object; what it says to people goes to the error stream."""

import json
import sys

import pytest

from tests.tools import load_tool


@pytest.fixture
def answer(monkeypatch, capsys):
    """Runs a tool in this process and gives the object that it printed."""

    def run(tool, *arguments, code=None):
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments), '--json'])
        if code is None:
            load_tool(tool).main()
        else:
            with pytest.raises(SystemExit) as stopped:
                load_tool(tool).main()
            assert stopped.value.code == code
        printed = capsys.readouterr()
        assert printed.err
        return json.loads(printed.out)

    return run


def test_of_test(answer, run, tmp_path):
    name = f'visualizer.name={tmp_path.name}'  # mmengine keeps visualizers by name
    found = answer('test', run.config, run.full, '--work-dir', tmp_path, '--cfg-options', name)
    assert found['file'] == str(tmp_path / 'test_metrics.json')
    assert found['metrics'] == json.loads((tmp_path / 'test_metrics.json').read_text())


def test_of_convert(answer, run, tmp_path):
    target = tmp_path / 'model.pth'
    found = answer('model_converters/convert', run.full, target, '--to', 'mmdet')
    assert found == {'file': str(target), 'from': 'mask2former', 'to': 'mmdet', 'license': None}
    assert target.is_file()


def test_of_check_dataset(answer, run):
    found = answer('misc/check_dataset', run.config, '--splits', 'val', code=0)
    assert found['images'] == 5 and found['errors'] == 0
    assert all(row['split'] == 'val' and not row['error'] and row['count'] for row in found['problems'])
