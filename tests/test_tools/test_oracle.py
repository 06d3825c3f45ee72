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
    assert 'PanopticQuality' in printed and 'at most' in printed and 'num_queries=2' in printed
    assert f'{values["PanopticQuality"]["num_queries=2"]["PQ"]:.1f}' in printed
    assert f'{values["InstanceAP"]["all limits"]["segm_mAP"]:.1f}' in printed


def test_an_instance_data_set_is_measured_by_its_own_file(monkeypatch, capsys, config, tmp_path):
    instances = tmp_path / 'instances.py'
    instances.write_text(
        f"""
_base_ = {str(config)!r}
val_dataloader = dict(dataset=dict(
    _delete_=True, type='CocoInstanceFormat', data_root=_base_.val_dataloader.dataset.data_root,
    ann_file='annotations/instances_val.json', data_prefix=dict(img='val/'),
    pipeline=[dict(type='LoadImage'), dict(type='LoadInstanceGroundTruth'), dict(type='PackSegInputs')]))
val_evaluator = [dict(type='InstanceAP')]
"""
    )
    run(monkeypatch, instances, '--images', 2, '--json', tmp_path / 'found.json')
    assert json.loads((tmp_path / 'found.json').read_text())['InstanceAP']['all limits']['segm_mAP'] > 50
    assert 'segm_mAP' in capsys.readouterr().out


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
