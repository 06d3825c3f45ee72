"""Frames of videos: a track has one colour in all of them, and the strip shows truth above prediction."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData

from mask2former.formats.rle import encode_mask
from mask2former.models.video import FrameResult
from mask2former.visualization import SegLocalVisualizer
from mask2former.visualization.class_table import ClassTable
from mask2former.visualization.track_map import VideoPanels, from_frame_segments, from_labels, from_tracks, track_color

META = dict(classes=('cat', 'dog', 'sky'), isthing=(True, True, False), palette=[(9, 0, 0), (0, 9, 0), (0, 0, 250)])
TABLE = ClassTable(META)
SIZE = (600, 800)


def box(y, x, side=200):
    mask = np.zeros(SIZE, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def track(number, mask, label=0, **more):
    return dict(id=number, label=label, segmentation=encode_mask(mask), **more)


@pytest.fixture
def visualizer():
    visualizer = SegLocalVisualizer(alpha=1.0)
    visualizer.dataset_meta = META
    return visualizer


def test_small_tracks_lie_on_large_ones_and_say_what_they_are():
    small, large = track(7, box(100, 100, 50), score=0.876), track(2, box(50, 50), label=1)
    panel = from_tracks([small, large], TABLE, SIZE)
    assert panel.texts == ['dog 2', 'cat 7 0.88'] and panel.colors == [track_color(2), track_color(7)]
    assert panel.id_map[120, 120] == 2 and panel.id_map[60, 60] == 1 and panel.id_map[0, 0] == 0
    assert not from_tracks([], TABLE, SIZE).id_map.any()


def test_neighbouring_ids_have_colours_far_apart():
    colors = np.array([track_color(number) for number in range(1, 30)], dtype=int)
    for step in (1, 2):
        assert np.abs(colors[step:] - colors[:-step]).sum(1).min() > 60


def test_stuff_keeps_the_colour_of_its_class():
    id_map = torch.zeros(SIZE, dtype=torch.int32)
    id_map[:100], id_map[300:] = 5, 9
    infos = [dict(id=5, label=2, isthing=False, score=0.9), dict(id=9, label=0, isthing=True, score=0.5)]
    panel = from_frame_segments(id_map, infos, TABLE)
    assert panel.texts == ['sky', 'cat 9 0.50'] and panel.colors == [(0, 0, 250), track_color(9)]
    assert (panel.id_map == np.where(id_map == 5, 1, np.where(id_map == 9, 2, 0))).all()
    labels = torch.where(id_map == 5, 2, 0)
    assert (
        np.array(from_labels(labels, TABLE).texts)[from_labels(labels, TABLE).id_map[[0, 200], 0] - 1]
    ).tolist() == ['sky', 'cat']


def test_a_track_has_its_colour_in_every_frame(visualizer):
    frame = np.full((*SIZE, 3), 100, np.uint8)
    drawn = []
    for x, others in ((100, [3]), (400, [])):
        tracks = [track(4, box(300, x), score=0.9), *(track(i, box(10, 500, 150), score=0.5) for i in others)]
        drawn.append(visualizer.draw_frame(frame, FrameResult(0, frame, tracks=tracks)))
    assert drawn[0].shape == (*SIZE, 3)
    assert tuple(drawn[0][310, 110]) == tuple(drawn[1][310, 410]) == track_color(4)
    assert tuple(drawn[0][20, 510]) == track_color(3) and tuple(drawn[1][20, 510]) == (100, 100, 100)
    assert (drawn[0][300, 100:300] == 255).all()  # the border


def test_frames_of_every_task_and_size(visualizer):
    for shape in ((8, 12), (1200, 1700)):
        frame = np.zeros((*shape, 3), np.uint8)
        for fields in (
            dict(),
            dict(id_map=torch.zeros(shape, dtype=torch.int32)),
            dict(sem_seg=torch.zeros(shape, dtype=torch.int64)),
        ):
            drawn = visualizer.draw_frame(frame, FrameResult(0, frame, **fields))
            assert 512 <= max(drawn.shape) <= 1600 and drawn.dtype == np.uint8


def video_sample(**fields):
    sample = DetDataSample(metainfo=dict(video_id=3, ori_shape=SIZE))
    for name, value in fields.items():
        setattr(sample, name, value)
    return sample


def test_the_strip_has_a_column_for_each_frame_and_truth_above_prediction(visualizer):
    rle = encode_mask(box(100, 100))
    polygon = [[100.0, 100.0, 300.0, 100.0, 300.0, 300.0, 100.0, 300.0]]
    sample = video_sample(
        gt_tracks=[dict(label=0, iscrowd=0, segmentations=[rle, None, polygon])],
        pred_tracks=[
            dict(label=0, score=0.1, segmentations=[rle] * 3),
            dict(label=1, score=0.9, segmentations=[None, rle, None]),
        ],
    )
    frames = {place: np.full((*SIZE, 3), 100, np.uint8) for place in range(3)}
    strip = visualizer.draw_video(frames, sample)
    height, width = strip.shape[0] // 2, strip.shape[1] // 3
    assert width in range(480, 490) and height in range(360, 420)

    def shown(row, column):
        """The colour of the box in a panel; its upper left corner is at 60, 60 of the reduced frame."""
        panel = strip[(row + 1) * height - 360 + row : (row + 1) * height + row][:360, column * width :]
        return tuple(panel[70, 70])

    assert [shown(0, column) == track_color(1) for column in range(3)] == [True, False, True]
    assert [shown(1, column) == track_color(2) for column in range(3)] == [False, True, False]
    assert visualizer.draw_video(frames, sample, draw_gt=False).shape[0] < 1.2 * height
    assert visualizer.draw_video(frames, sample, False, False).shape[0] < 1.2 * height


def test_a_prediction_has_the_number_of_the_true_track_that_it_matches():
    first, second, else_where = ([encode_mask(box(y, x))] * 2 for y, x in ((0, 0), (300, 0), (300, 500)))
    polygon = [[0.0, 300.0, 200.0, 300.0, 200.0, 500.0, 0.0, 500.0]]  # the second
    sample = video_sample(
        gt_tracks=[
            dict(label=0, iscrowd=0, segmentations=first),
            dict(label=1, iscrowd=0, segmentations=[polygon, None]),
        ],
        pred_tracks=[
            dict(label=1, score=0.5, segmentations=else_where),
            dict(label=0, score=0.6, segmentations=first),  # of another class and a better score it is found below
            dict(label=1, score=0.8, segmentations=[second[0], None]),
            dict(label=2, score=0.7, segmentations=[first[0], None]),  # half of it
            dict(label=2, score=0.1, segmentations=second),
        ],
    )
    (title, truth), (_, found) = VideoPanels(sample, TABLE, True, True, 0.3)[0]
    assert title == 'Truth' and sorted(truth.texts) == ['cat 1', 'dog 2']
    assert sorted(found.texts) == ['cat 3 0.60', 'dog 2 0.80', 'dog 4 0.50', 'sky 1 0.70']
    assert found.colors[found.texts.index('dog 2 0.80')] == truth.colors[truth.texts.index('dog 2')] == track_color(2)
    [(_, alone)] = VideoPanels(sample, TABLE, False, True, 0.3)[1]
    assert sorted(alone.texts) == ['cat 3 0.60', 'dog 4 0.50']


def test_the_strip_of_a_semantic_video(visualizer):
    labels = torch.stack([torch.full(SIZE, 2), torch.zeros(SIZE)]).short()
    sample = video_sample(pred_sem_seg=PixelData(sem_seg=labels))
    [(title, panel)] = VideoPanels(sample, TABLE, True, True, 0.3)[0]
    assert title == 'Prediction' and panel.texts == ['sky']
    assert visualizer.draw_video({1: np.zeros((*SIZE, 3), np.uint8)}, sample).shape[0] > 360


def test_the_strip_of_a_panoptic_video(visualizer):
    id_map = np.where(box(0, 0, 300), 4, 0)
    video = dict(id_maps=[id_map, id_map * 0], segments_info=[dict(id=4, label=2)])
    frames = {place: np.full((*SIZE, 3), 100, np.uint8) for place in range(2)}
    strip = visualizer.draw_video(frames, video_sample(gt_panoptic_video=video, pred_panoptic_video=video))
    blue = (strip == META['palette'][2]).all(-1).sum() / (180 * 180)
    assert 1.8 < blue < 2.05  # one of two frames, in both rows, less its label
