"""tools/analysis_tools/oracle.py prints the ceilings of a config."""

import json
import sys

import pytest

from mask2former.errors import ConfigError
from tests.tools import load_tool


def run(monkeypatch, config, *arguments):
    monkeypatch.setattr(sys, 'argv', ['oracle.py', str(config), *map(str, arguments)])
    monkeypatch.setenv('COLUMNS', '200')
    load_tool('analysis_tools/oracle').main()


def test_tables_and_file(monkeypatch, capsys, config, tmp_path):
    found = tmp_path / 'found.json'
    run(monkeypatch, config, '--images', 2, '--json', found, '--cfg-options', 'model.head.num_queries=2')
    printed = capsys.readouterr().out
    values = json.loads(found.read_text())
    assert list(values) == ['PanopticQuality', 'InstanceAP', 'SemanticIoU']
    assert 'PanopticQuality, at most' in printed and 'num_queries=2' in printed
    assert f'{values["PanopticQuality"]["num_queries=2"]["PQ"]:.1f}' in printed
    assert f'{values["InstanceAP"]["all limits"]["segm_mAP"]:.1f}' in printed


@pytest.mark.parametrize(
    ('option', 'sentence'),
    [
        ('model.postprocessors.panoptic=None', "measures 'pred_panoptic_seg'"),
        ('val_evaluator=[]', 'no val_dataloader or no val_evaluator'),
    ],
)
def test_what_cannot_be_measured(monkeypatch, config, option, sentence):
    with pytest.raises(ConfigError, match=sentence):
        run(monkeypatch, config, '--cfg-options', option)
