from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from mmengine.visualization import Visualizer

import mask2former.engine.visualization_hook  # noqa: F401
from mask2former.registry import HOOKS
from mask2former.visualization import SegLocalVisualizer


def make_outputs(folder, names):
    samples = []
    for name in names:
        file = folder / name
        file.parent.mkdir(exist_ok=True, parents=True)
        cv2.imwrite(str(file), np.full((40, 60, 3), (255, 0, 0), np.uint8))  # blue in OpenCV's order
        sample = DetDataSample(metainfo=dict(img_path=str(file)))
        sample.pred_sem_seg = PixelData(sem_seg=torch.zeros(1, 40, 60, dtype=torch.int64))
        samples.append(sample)
    return samples


def make_runner(visualizer=None):
    return SimpleNamespace(visualizer=visualizer or SegLocalVisualizer(), iter=100)


def make_hook(**options):
    return HOOKS.build(dict(type='SegVisualizationHook', **options))


def names(folder):
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def test_testing_writes_every_image_in_its_colours(tmp_path):
    hook, runner = make_hook(draw=True, out_dir=str(tmp_path / 'out')), make_runner()
    hook.before_run(runner)
    hook.before_test_epoch(runner)
    outputs = make_outputs(tmp_path / 'data', ['a.png', 'b.jpg', 'c.png'])
    hook.after_test_iter(runner, 0, outputs=outputs[:2])
    hook.after_test_iter(runner, 1, outputs=outputs[2:])
    assert names(tmp_path / 'out') == ['a.jpg', 'b.jpg', 'c.jpg']
    picture = cv2.imread(str(tmp_path / 'out' / 'a.jpg'))
    assert picture[200, 200, 0] > 240 and picture[200, 200, 2] < 15


def test_validation_draws_every_interval_th_image_of_each_epoch(tmp_path):
    hook, runner = make_hook(draw=True, interval=3, out_dir=str(tmp_path / 'out')), make_runner()
    outputs = make_outputs(tmp_path / 'data', [f'{i}.png' for i in range(7)])
    for _ in range(2):
        hook.before_val_epoch(runner)
        for start in range(0, 7, 2):
            hook.after_val_iter(runner, start // 2, outputs=outputs[start : start + 2])
        assert names(tmp_path / 'out') == ['0.jpg', '3.jpg', '6.jpg']


def test_max_images(tmp_path):
    hook, runner = make_hook(draw=True, max_images=2, out_dir=str(tmp_path / 'out')), make_runner()
    hook.after_test_iter(runner, 0, outputs=make_outputs(tmp_path / 'data', ['a.png', 'b.png', 'c.png']))
    assert names(tmp_path / 'out') == ['a.jpg', 'b.jpg']


def test_equal_stems_do_not_overwrite_each_other(tmp_path):
    hook, runner = make_hook(draw=True, out_dir=str(tmp_path / 'out')), make_runner()
    hook.after_test_iter(runner, 0, outputs=make_outputs(tmp_path / 'data', ['x/1.png', 'y/1.png', 'z/2.png']))
    assert names(tmp_path / 'out') == ['1.jpg', '1_2.jpg', '2.jpg']


def test_without_a_folder_the_backends_get_the_pictures(tmp_path):
    visualizer = SegLocalVisualizer(vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path / 'run'))
    hook, runner = make_hook(draw=True, interval=1), make_runner(visualizer)
    outputs = make_outputs(tmp_path / 'data', ['a.png', 'b.png'])
    hook.after_val_iter(runner, 0, outputs=outputs)
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, outputs=outputs)
    assert sorted(file.name for file in (tmp_path / 'run').rglob('*.png')) == [
        'test_img_1.png',
        'test_img_2.png',
        'val_img_1_100.png',
        'val_img_2_100.png',
    ]


def test_draws_nothing_unless_told_to(tmp_path):
    hook = make_hook(out_dir=str(tmp_path / 'out'))
    hook.before_run(make_runner(Visualizer()))
    hook.after_test_iter(make_runner(), 0, outputs=make_outputs(tmp_path / 'data', ['a.png']))
    assert names(tmp_path / 'out') == []


def test_a_visualizer_that_draws_nothing_is_refused():
    with pytest.raises(ValueError, match='SegLocalVisualizer'):
        make_hook(draw=True).before_run(make_runner(Visualizer()))


def test_bad_interval_is_refused():
    with pytest.raises(ValueError, match='interval'):
        make_hook(interval=0)
