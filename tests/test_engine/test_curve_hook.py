"""The curve of a training, interrupted or not."""

import json

import pytest

from mask2former.data_tools.shapes import generate_shapes
from mask2former.engine import CurveHook
from tests.tiny import train, write_config

EXTRA = """
custom_hooks = [dict(type='CurveHook')]
train_cfg = dict(max_iters=4, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2))
"""


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('curve')
    generate_shapes(folder / 'shapes', num_train=2, num_val=2, size=(64, 96))
    return write_config(folder, folder / 'shapes', EXTRA)


def read(folder):
    return json.loads((folder / 'curve.json').read_text())


def test_curve_goes_on_where_it_was(config, tmp_path, monkeypatch):
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    train(config, work_dir=str(whole))
    points = read(whole)
    assert [point['iter'] for point in points] == [2, 4]
    assert 0 < points[0]['seconds'] < points[1]['seconds']
    assert all({'PQ', 'PQ_th', 'PQ_st', 'segm_mAP', 'mIoU'} <= set(point) for point in points)

    train(config, work_dir=str(parts), train_cfg__max_iters=2)
    (first,) = read(parts)
    # As if it had been interrupted later: what is past the checkpoint is forgotten.
    (parts / 'curve.json').write_text(json.dumps([first, dict(first, iter=3)]))
    train(config, work_dir=str(parts), resume=True)
    again = read(parts)
    assert again[0] == first | dict(max_iters=4) and [point['iter'] for point in again] == [2, 4]
    assert again[1]['seconds'] > first['seconds']
    assert [point['PQ'] for point in again] == [point['PQ'] for point in points]

    # Interrupted in the last validation: it is made up for, without training.
    (parts / 'curve.json').write_text(json.dumps(again[:1]))
    monkeypatch.setattr(CurveHook, 'before_train_iter', None)
    train(config, work_dir=str(parts), resume=True)
    assert read(parts) == again
