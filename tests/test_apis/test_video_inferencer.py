"""VideoInferencer gives what the tracker gives, with the times of the video; TrackJson can be read as a data set."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mask2former.apis import FrameTracker, TrackJson, VideoInferencer
from mask2former.datasets import YouTubeVISFormat
from mask2former.errors import ConfigError, DataError
from mask2former.formats.frame_source import FrameSource
from mask2former.formats.images import write_image
from mask2former.formats.rle import decode_mask, encode_mask
from mask2former.formats.video_frames import open_frames
from mask2former.models.video import FrameResult


def frames_of(count):
    """Frames 64 x 96 of coarse noise."""
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(256, size=(8, 12, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(count)]


@pytest.fixture(scope='module')
def inferencer(run):
    return VideoInferencer(run.config, run.checkpoint, device='cpu', task='instance', score_thr=0)


def test_results_are_the_tracker_s_with_places_and_times(inferencer):
    frames = frames_of(5)
    expected = list(FrameTracker(inferencer.tracker.model, task='instance', score_thr=0)(frames[::2]))
    results = list(inferencer(frames, every=2, fps=4))
    assert [result.index for result in results] == [0, 2, 4]
    assert [result.time for result in results] == [0, 0.5, 1]
    assert [result.tracks for result in results] == [result.tracks for result in expected]
    assert results[0].tracks and all(np.array_equal(r.frame, frames[r.index]) for r in results)
    assert inferencer.draw(results[0]).shape == (341, 512, 3)


def test_an_image_model_gives_every_task(run):
    frames = frames_of(2)
    for task, field in (('panoptic', 'id_map'), ('semantic', 'sem_seg')):
        inferencer = VideoInferencer(run.config, run.checkpoint, device='cpu', task=task)
        for result in inferencer(frames):
            assert getattr(result, field).shape == (64, 96)
            assert inferencer.draw(result).shape == (341, 512, 3)


class Failing(FrameSource):
    """Fails after so many frames."""

    def __init__(self, frames, live=False):
        super().__init__('failing', 10, None, live)
        self.frames = frames

    def read(self):
        for place, frame in enumerate(self.frames):
            yield place / 10, lambda frame=frame: frame
        raise DataError('the camera is gone')


@pytest.mark.parametrize('tracking', ['online', 'windows', 'whole'])
def test_what_a_source_gave_before_it_failed_has_results(run, tracking):
    inferencer = VideoInferencer(run.config, run.checkpoint, device='cpu', tracking=tracking)
    seen = []
    with pytest.raises(DataError, match='the camera is gone'):
        for result in inferencer(Failing(frames_of(3))):
            seen.append(result.index)
    assert seen == [0, 1, 2]


def test_a_live_source_is_not_waited_for(run):
    inferencer = VideoInferencer(run.config, run.checkpoint, device='cpu', tracking='whole')
    with pytest.raises(ConfigError, match="'failing' has no end.*'online'"):
        inferencer(Failing([], live=True))


def test_options_of_an_open_source_are_refused(inferencer):
    with pytest.raises(ConfigError, match='for open_frames'):
        inferencer(open_frames(frames_of(1)), every=2)


META = dict(classes=('cat', 'dog', 'sky'), isthing=(True, True, False), category_ids=(3, 5, 9))


def box(x, size=(20, 30)):
    mask = np.zeros(size, bool)
    mask[4:9, x : x + 6] = True
    return mask


def test_json_is_read_as_a_data_set(tmp_path):
    frames = [np.zeros((20, 30, 3), np.uint8)] * 5
    shown = [[(4, 0, 0.9, 2), (8, 1, 0.8, 15)], [(4, 1, 0.3, 4)], [(4, 0, 0.5, 6)]]  # id, label, score, place
    tracks = TrackJson(META, open_frames(frames))
    for index, (frame, found) in enumerate(zip(frames, shown)):
        rows = [dict(id=i, label=c, score=s, segmentation=encode_mask(box(x))) for i, c, s, x in found]
        tracks.add(FrameResult(2 * index, frame, tracks=rows, time=index / 5))
    tracks.write(tmp_path / 'tracks.json')

    content = json.loads((tmp_path / 'tracks.json').read_text())
    assert [(image['frame_id'], image['time']) for image in content['images']] == [(0, 0), (2, 0.2), (4, 0.4)]
    assert [a['score'] for a in content['annotations']] == [0.9, 0.8, 0.3, 0.5]
    assert content['annotations'][1]['bbox'] == [15, 4, 6, 5] and content['annotations'][1]['area'] == 30
    dataset = YouTubeVISFormat(ann_file=str(tmp_path / 'tracks.json'))
    assert dataset.metainfo['classes'] == ('cat', 'dog', 'sky')
    [video] = dataset
    assert [(track['label'], track['category_id']) for track in video['instances']] == [(0, 3), (1, 5)]
    first, second = (track['segmentations'] for track in video['instances'])
    assert all(np.array_equal(decode_mask(first[i]), box(x)) for i, x in enumerate((2, 4, 6)))
    assert np.array_equal(decode_mask(second[0]), box(15)) and second[1:] == [None, None]


def test_json_of_panoptic_and_semantic_results():
    frame = np.zeros((20, 30, 3), np.uint8)
    id_map = torch.from_numpy(np.where(box(3), 7, 2).astype(np.int32))
    infos = [dict(id=7, label=1, isthing=True, score=0.5), dict(id=2, label=2, isthing=False, score=1.0)]
    tracks = TrackJson(META, open_frames([frame]))
    tracks.add(FrameResult(0, frame, id_map=id_map, segments_info=infos))
    rows = {row['instance_id']: row for row in tracks.content()['annotations']}
    assert {key: row['category_id'] for key, row in rows.items()} == {7: 5, 2: 9}
    assert np.array_equal(decode_mask(rows[7]['segmentation']), box(3))
    assert rows[2]['area'] == 20 * 30 - 30

    tracks = TrackJson(META, open_frames([frame]))
    tracks.add(FrameResult(0, frame, sem_seg=torch.from_numpy(np.where(box(3), 0, 2))))
    rows = [(row['category_id'], row['area']) for row in tracks.content()['annotations']]
    assert rows == [(3, 30), (9, 570)]


def test_frames_of_a_folder_keep_their_names(tmp_path):
    write_image(tmp_path / 'frame10.png', np.zeros((20, 30, 3), np.uint8))
    write_image(tmp_path / 'frame2.png', np.zeros((20, 30, 3), np.uint8))
    tracks = TrackJson(META, open_frames(tmp_path))
    for place in range(2):
        tracks.add(FrameResult(place, np.zeros((20, 30, 3), np.uint8)))
    assert [image['file_name'] for image in tracks.images] == ['frame2.png', 'frame10.png']


def test_a_model_of_five_bands_is_refused_with_the_way(run, tmp_path):
    cfg = Config.fromfile(run.config)
    cfg.test_dataloader.dataset.pipeline[0].bands = 5
    with pytest.raises(ConfigError, match='^The config reads images of 5 bands, but videos have three: .*Tracker'):
        VideoInferencer(cfg, run.checkpoint, device='cpu')
