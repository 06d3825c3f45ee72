from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from mmengine.visualization import Visualizer

from mask2former.engine.visualization_hook import spread
from mask2former.formats.rle import encode_mask
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


def test_a_video_is_a_film_strip(tmp_path):
    mask = np.zeros((40, 60), bool)
    mask[10:30, 10:30] = True
    samples = []
    for folder in ('x/1', 'x/2', 'y/1'):
        paths = [sample.img_path for sample in make_outputs(tmp_path / folder, [f'{i}.png' for i in range(9)])]
        sample = DetDataSample(metainfo=dict(img_paths=paths, ori_shape=(40, 60), video_id=folder))
        sample.pred_tracks = [dict(label=0, score=0.9, segmentations=[encode_mask(mask)] * 9)]
        sample.gt_tracks = [dict(label=0, iscrowd=0, segmentations=[None] * 9)]
        samples.append(sample)
    hook = make_hook(draw=True, out_dir=str(tmp_path / 'out'))
    hook.after_test_iter(make_runner(), 0, outputs=samples)
    assert names(tmp_path / 'out') == ['1.jpg', '1_2.jpg', '2.jpg']
    height, width = cv2.imread(str(tmp_path / 'out' / '2.jpg')).shape[:2]
    assert 6 * 320 <= width < 6 * 340 and 2 * 213 < height < 2 * 250


def test_frames_are_spread_over_the_video():
    assert spread(1) == [0] and spread(3) == [0, 1, 2] and spread(6) == list(range(6))
    assert spread(36) == [0, 7, 14, 21, 28, 35]
