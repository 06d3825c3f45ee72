"""TensorBoard's own reader finds what a training wrote; without TensorBoard a training is the same."""

import importlib.util
import json

import numpy as np
import pytest

from mask2former.registry import VISBACKENDS
from mask2former.visualization import TensorboardIfInstalled


def test_values_and_pictures_are_read_again(tmp_path):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    backend = VISBACKENDS.build(dict(type='TensorboardIfInstalled', save_dir=str(tmp_path)))
    assert isinstance(backend, TensorboardIfInstalled)
    backend.add_config(None)
    assert not any(tmp_path.iterdir())
    for step in (5, 10):
        backend.add_scalars(dict(loss=1 / step, lr=np.float32(0.1), note='text'), step=step, file_path='scalars.json')
    backend.add_image('val_img_1', np.full((4, 6, 3), 7, np.uint8), step=10)
    backend.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert sorted(events.Tags()['scalars']) == ['loss', 'lr'] and events.Tags()['images'] == ['val_img_1']
    losses = [(event.step, event.value) for event in events.Scalars('loss')]
    assert losses == [(5, pytest.approx(0.2)), (10, pytest.approx(0.1))]
    [picture] = events.Images('val_img_1')
    assert (picture.step, picture.width, picture.height) == (10, 6, 4)


def test_nothing_is_written_where_it_is_absent(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    backend = TensorboardIfInstalled(str(tmp_path))
    backend.add_config(None)
    backend.add_scalars(dict(loss=1.0), step=1)
    backend.add_scalar('loss', 1.0, step=1)
    backend.add_image('val_img_1', np.zeros((4, 6, 3), np.uint8), step=1)
    backend.close()
    assert not any(tmp_path.iterdir())


def test_a_training_has_its_validations_at_their_iterations(run):
    [folder] = (run.config.parent / 'work').glob('*/vis_data')
    rows = [json.loads(line) for line in (folder / 'scalars.json').read_text().splitlines()]
    assert [row['step'] for row in rows if 'PQ' in row] == [4, 8]
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert [event.step for event in EventAccumulator(str(folder)).Reload().Scalars('PQ')] == [4, 8]
