"""browse_dataset.py draws what is fed to the model."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from mask2former.data_tools.shapes import generate_moving_shapes
from mask2former.visualization.class_table import ClassTable
from mask2former.visualization.segment_map import from_clip
from tests.tools import load_tool


def call(monkeypatch, *arguments):
    monkeypatch.setattr('sys.argv', ['browse_dataset.py', *map(str, arguments)])
    load_tool('analysis_tools/browse_dataset').main()


def test_browse_dataset_draws_every_split(run, tmp_path, monkeypatch, capsys):
    for split, panels in (('train', 2), ('val', 2)):
        call(monkeypatch, run.config, '--split', split, '--num', '2', '--out-dir', tmp_path / split)
        pictures = sorted((tmp_path / split).iterdir())
        assert len(pictures) == 2
        picture = cv2.imread(str(pictures[0]))
        image = picture[:, : picture.shape[1] // panels]
        rest = picture[:, picture.shape[1] // panels :]
        assert image.shape[1] > image.shape[0] and rest.size  # wide images, side by side
        assert np.abs(image[40:, :200].astype(int) - rest[40:, -200:].astype(int)).mean() > 5
    assert '2 pictures are in' in capsys.readouterr().out
    call(monkeypatch, run.config, '--num', '1', '--repeat', '3', '--out-dir', tmp_path / 'again')
    assert len(list((tmp_path / 'again').iterdir())) == 3
    with pytest.raises(ValueError, match='--start is 8, but the train set has 8 images'):
        call(monkeypatch, run.config, '--start', '8', '--out-dir', tmp_path)


def test_clips_are_drawn_as_film_strips(tmp_path, monkeypatch, capsys):
    """Two frames side by side, in which each track has one colour; of a test without tracks as well."""
    generate_moving_shapes(tmp_path / 'data', num_train=2, num_val=0, size=(48, 64), frames=(4, 6))
    (tmp_path / 'config.py').write_text(
        f"""
data = dict(type='YouTubeVISFormat', data_root={str(tmp_path / 'data')!r}, ann_file='train.json',
            data_prefix=dict(img='train/JPEGImages'))
clip = [dict(type='LoadFrames'), dict(type='LoadTrackSegments'), dict(type='PackClipInputs')]
train_dataloader = dict(dataset=dict(data, pipeline=[dict(type='SampleFrames', num_frames=2), *clip]))
test_dataloader = dict(dataset=dict(
    data, test_mode=True, pipeline=[dict(type='SampleFrames', num_frames=None), clip[0], clip[2]]))
"""
    )
    for split in ('train', 'test'):
        call(monkeypatch, tmp_path / 'config.py', '--split', split, '--out-dir', tmp_path / split)
        pictures = sorted((tmp_path / split).iterdir())
        assert [picture.name for picture in pictures] == ['000000_0000.jpg', '000001_0001.jpg']
    assert '2 pictures are in' in capsys.readouterr().out
    strip = cv2.imread(str(tmp_path / 'train' / '000000_0000.jpg'))
    assert strip.shape[1] > 2 * 500


def test_a_track_has_one_colour_in_all_frames():
    """Track 2 is alone in the second frame, where the order of areas would give it the first colour."""
    layers = np.zeros((2, 8, 10), np.uint8)
    layers[0, :5, :5], layers[0, 6:, 6:], layers[1, 2:4, 2:4] = 1, 2, 2
    sample = DetDataSample()
    sample.gt_segments = InstanceData(labels=torch.tensor([0, 0]), ids=torch.tensor([1, 2]))
    sample.gt_seg_map = PixelData(id_map=torch.from_numpy(layers))
    first, second = from_clip(sample, 2, ClassTable(dict(classes=('cat',), isthing=(True,), palette=[(200, 30, 30)])))
    assert first.colors == second.colors and first.colors[0] != first.colors[1]
    assert first.texts == ['cat 1', 'cat 2'] and np.array_equal(second.id_map, layers[1])
