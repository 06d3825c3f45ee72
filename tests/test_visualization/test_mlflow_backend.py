"""A training with MLflow, of which a stand-in has what mmengine's backend calls."""

import json
import sys
import types

from tests.tiny import train


class StandIn(types.ModuleType):
    """Takes any call, and notes the pictures and the scalars."""

    def __init__(self) -> None:
        super().__init__('mlflow')
        self.pictures, self.scalars = [], []

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return lambda *args, **kwargs: None

    def log_image(self, image, artifact_file=None, key=None, step=None):
        assert image.ndim == 3 and artifact_file is None
        self.pictures.append((key, step))

    def log_metrics(self, metrics, step=None):
        self.scalars += [(key, step) for key in metrics if key in ('loss', 'PQ')]


def test_scalars_and_pictures_come_with_their_iterations(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'mlflow', mlflow := StandIn())
    options = dict(train_cfg__max_iters=2, train_cfg__val_interval=2, default_hooks__checkpoint__interval=2)
    backends = [dict(type='LocalVisBackend'), dict(type='MLflowVisBackend', exp_name='mine', tracking_uri='file:./x')]
    options |= dict(default_hooks__visualization__draw=True, default_hooks__visualization__interval=3)
    options |= dict(default_hooks__logger__interval=2)
    train(run.config, work_dir=str(tmp_path / 'work'), visualizer__vis_backends=backends, **options)
    assert mlflow.scalars == [('loss', 2), ('PQ', 2)]
    [scalars] = tmp_path.rglob('scalars.json')
    assert [json.loads(line)['step'] for line in scalars.read_text().splitlines()] == [2, 2]
    assert len(mlflow.pictures) == len(list(tmp_path.rglob('val_img_*.png'))) > 0
    assert all(key.startswith('val_img_') and step == 2 for key, step in mlflow.pictures)
