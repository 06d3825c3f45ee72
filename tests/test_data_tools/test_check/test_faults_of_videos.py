"""The check of videos: every frame is looked at as an image is, and what is wrong is named by video and frame."""

import json

import numpy as np
import pytest
from PIL import Image

from mask2former.data_tools.check import check_splits, write_clean_copy
from mask2former.data_tools.check.read import read_split
from mask2former.data_tools.check.source import Settings
from mask2former.data_tools.check.statistics import classes_of, facts_of
from mask2former.data_tools.shapes import generate_moving_shapes
from mask2former.datasets import CocoInstanceFormat, YouTubeVISFormat
from mask2former.errors import DataError

from .conftest import kinds


class Videos:
    """A data set of drawn videos; ``content`` may be changed before ``check``."""

    def __init__(self, root):
        self.root = root
        generate_moving_shapes(root, num_train=5, num_val=1, size=(48, 64), frames=(3, 5), seed=2)
        self.content = json.loads((root / 'train.json').read_text())

    def check(self, **options):
        (self.root / 'train.json').write_text(json.dumps(self.content))
        dataset = YouTubeVISFormat(
            data_root=str(self.root),
            ann_file='train.json',
            data_prefix=dict(img='train/JPEGImages'),
            lazy_init=True,
            **options,
        )
        return check_splits([read_split(dataset, Settings('train'))], headers_only=False, jobs=1).splits[0]

    def frame(self, video, place):
        return self.root / 'train' / 'JPEGImages' / self.content['videos'][video]['file_names'][place]


@pytest.fixture
def videos(tmp_path):
    return Videos(tmp_path)


def test_sound_videos_have_no_fault(videos):
    split = videos.check()
    # Five videos of a few things need not have each of the classes.
    assert set(kinds(split)) <= {'class without segment'}
    frames = sum(video['length'] for video in videos.content['videos'])
    assert len(split.source.entries) == frames
    shown = sum(bool(rle) for track in videos.content['annotations'] for rle in track['segmentations'])
    assert sum(len(entry.segments) for entry in split.source.entries.values()) == shown
    facts = facts_of(split)
    assert (facts['videos'], facts['frames']) == ('5', str(frames))
    assert 'segments a frame: least, median, most' in facts and not any('image' in name for name in facts)
    assert sum(row['frames'] for row in classes_of(split)) <= shown


def test_faults_of_frames_and_masks_are_named(videos):
    whole = {video['id'] for video in videos.content['videos'][3:]}  # no frame of these is spoilt below
    track = next(t for t in videos.content['annotations'] if t['video_id'] in whole and not t['iscrowd'])
    place = next(i for i, rle in enumerate(track['segmentations']) if rle)
    track['areas'][place] += 50
    track['bboxes'][place] = [0, 0, 3, 3]
    videos.frame(0, 0).unlink()
    videos.frame(1, 1).write_bytes(b'broken')
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(videos.frame(2, 2))
    split = videos.check()
    found = kinds(split)
    for kind in ('missing image', 'corrupt image', 'wrong size'):
        assert found[kind] == 1
    of_kind = {problem.kind: problem.image for problem in split.problems}
    ids = [video['id'] for video in videos.content['videos']]
    assert of_kind['missing image'] == f'{ids[0]}/0' and of_kind['corrupt image'] == f'{ids[1]}/1'
    assert of_kind['wrong size'] == f'{ids[2]}/2'
    assert found['wrong area'] == found['wrong box'] == 1
    assert of_kind['wrong area'] == of_kind['wrong box'] == f'{track["video_id"]}/{place}'


def test_masks_of_another_size_and_empty_videos(videos):
    track = videos.content['annotations'][0]
    place = next(i for i, rle in enumerate(track['segmentations']) if rle)
    track['segmentations'][place] = dict(size=[2, 2], counts=[1, 3])
    lost = videos.content['videos'][-1]['id']
    videos.content['annotations'] = [t for t in videos.content['annotations'] if t['video_id'] != lost]
    split = videos.check()
    assert kinds(split)['wrong mask size'] == 1
    assert [p.text for p in split.problems if p.kind == 'no annotation'] == [f'video {lost} has no track']


def test_files_without_annotations_and_entries_that_are_wrong(videos, tmp_path):
    videos.content['annotations'] = None
    assert not kinds(videos.check(test_mode=True)).keys() & {'no annotation', 'malformed entry'}
    videos.content['videos'][0]['file_names'] = []
    with pytest.raises(DataError, match='has no frame'):
        videos.check()


def test_there_is_no_clean_copy_of_videos(videos, tmp_path):
    with pytest.raises(DataError, match='no clean copy of videos'):
        write_clean_copy(videos.check(), tmp_path / 'clean')


def test_other_formats_are_read_as_before(sound):
    dataset = CocoInstanceFormat(
        data_root=str(sound.root),
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        lazy_init=True,
    )
    assert len(read_split(dataset, Settings('val')).entries) == 3
