"""Annotation files of videos: both kinds say the same, and what is wrong is said by name."""

import json

import pytest

from mask2former.errors import DataError, MissingFileError
from mask2former.formats.video_json import read_video_json

RLE = dict(size=[4, 6], counts=[4, 5, 15])
POLYGON = [[0, 0, 3, 0, 3, 3]]


def youtube_vis():
    return dict(
        videos=[
            dict(id=7, height=4, width=6, length=3, file_names=['a/0.jpg', 'a/1.jpg', 'a/2.jpg']),
            dict(id=3, height=6, width=4, length=1, file_names=['b/0.jpg']),
        ],
        annotations=[
            dict(id=1, video_id=7, category_id=2, iscrowd=0, segmentations=[RLE, None, POLYGON], areas=[5, None, 6.0]),
            dict(id=2, video_id=7, category_id=5, segmentations=[None, POLYGON, None]),
            dict(id=3, video_id=3, category_id=5, iscrowd=1, segmentations=[RLE]),
        ],
        categories=[dict(id=2, name='cat'), dict(id=5, name='dog')],
    )


def coco_video(frame_key='frame_id', track_key='instance_id'):
    """The same, with the frames and annotations in disorder."""
    names = {11: (7, 0, 'a/0.jpg'), 12: (7, 1, 'a/1.jpg'), 13: (7, 2, 'a/2.jpg'), 14: (3, 0, 'b/0.jpg')}
    sides = {7: dict(height=4, width=6), 3: dict(height=6, width=4)}
    images = [
        dict(id=i, video_id=video, file_name=name, **{frame_key: place}, **sides[video])
        for i, (video, place, name) in sorted(names.items(), key=lambda item: -item[1][1])
    ]
    rows = [
        (11, 40, 2, RLE, dict(area=5)),
        (13, 40, 2, POLYGON, dict(area=6.0)),
        (12, 41, 5, POLYGON, {}),
        (14, 40, 5, RLE, dict(iscrowd=1)),
    ]
    annotations = [
        dict(id=i, image_id=image, category_id=category, segmentation=segmentation, **{track_key: track}, **more)
        for i, (image, track, category, segmentation, more) in enumerate(rows)
    ]
    return dict(images=images, annotations=annotations, categories=youtube_vis()['categories'])


def read(tmp_path, content):
    path = tmp_path / 'video.json'
    path.write_text(json.dumps(content))
    return read_video_json(path)


def test_youtube_vis_is_taken_as_it_is(tmp_path):
    content = read(tmp_path, youtube_vis())
    expected = youtube_vis()
    assert content['categories'] == expected['categories']
    assert content['videos'] == [{k: v for k, v in video.items() if k != 'length'} for video in expected['videos']]
    assert content['annotations'] == [{'iscrowd': 0, **track} for track in expected['annotations']]


@pytest.mark.parametrize('frame_key', ['frame_id', 'frame_index'])
@pytest.mark.parametrize('track_key', ['instance_id', 'track_id'])
def test_coco_video_says_the_same(tmp_path, frame_key, track_key):
    theirs, ours = read(tmp_path, coco_video(frame_key, track_key)), read(tmp_path, youtube_vis())
    by_id = lambda videos: {video['id']: video for video in videos}  # noqa: E731
    assert by_id(theirs['videos']) == by_id(ours['videos'])
    shown = [
        sorted((t['video_id'], t['category_id'], t['iscrowd'], str(t['segmentations'])) for t in side['annotations'])
        for side in (theirs, ours)
    ]
    assert shown[0] == shown[1]
    first = next(t for t in theirs['annotations'] if t['category_id'] == 2)
    assert first['areas'] == [5, None, 6.0] and 'bboxes' not in first
    assert sorted(t['id'] for t in theirs['annotations']) == [1, 2, 3]


@pytest.mark.parametrize('change', [dict(annotations=None), 'absent'])
def test_no_annotations_are_none_and_not_empty(tmp_path, change):
    for content in (youtube_vis(), coco_video()):
        content.pop('annotations') if change == 'absent' else content.update(change)
        assert read(tmp_path, content)['annotations'] is None
    assert read(tmp_path, dict(youtube_vis(), annotations=[]))['annotations'] == []


def broken(content, part, index, **changes):
    """A copy with keys of an entry changed, or removed where the value is ``...``."""
    entry = content[part][index]
    for key, value in changes.items():
        if value is ...:
            del entry[key]
        else:
            entry[key] = value
    return content


@pytest.mark.parametrize(
    'content, message',
    [
        (dict(categories=[]), "has no 'videos'"),
        (dict(images=[dict(id=1)], annotations=[], categories=[]), "has no 'videos'.*'video_id'"),
        (broken(youtube_vis(), 'videos', 0, height=...), "Video .* has no 'height'"),
        (broken(youtube_vis(), 'videos', 1, id=7), 'Video id 7 occurs twice'),
        (broken(youtube_vis(), 'videos', 1, file_names=[]), 'Video 3 .*has no frame'),
        (broken(youtube_vis(), 'annotations', 0, segmentations=...), "Annotation 1 .*no 'segmentations'"),
        (broken(youtube_vis(), 'annotations', 0, segmentations=[RLE]), '1 segmentations, but video 7 has 3 frames'),
        (broken(youtube_vis(), 'annotations', 0, areas=[1]), '1 areas'),
        (broken(youtube_vis(), 'annotations', 0, video_id=9), 'video_id 9, which no entry'),
        (broken(youtube_vis(), 'annotations', 1, id=1), 'there twice, of category 2 and of 5'),
        (broken(youtube_vis(), 'annotations', 1, id=1, category_id=2), 'there twice;'),
        (dict(youtube_vis(), annotations=[3]), 'malformed.*: 3'),
        (broken(coco_video(), 'annotations', 1, category_id=5), 'category_id 5, but instance_id 40 of video 7 has 2'),
        (broken(coco_video(), 'annotations', 1, image_id=11), 'second one of instance_id 40 in image 11'),
        (broken(coco_video(), 'annotations', 1, image_id=99), 'image_id 99'),
        (broken(coco_video(), 'annotations', 1, instance_id=...), "no 'instance_id'"),
        (broken(coco_video(), 'annotations', 1, segmentation=None), "no 'segmentation'"),
        (broken(coco_video(), 'images', 0, height=9), 'must have one size'),
        (broken(youtube_vis(), 'videos', 0, height='4'), "Video 7 .*has the height '4'; give a number"),
        (broken(youtube_vis(), 'videos', 0, width=0), 'Video 7 .*has the width 0'),
        (broken(youtube_vis(), 'videos', 1, file_names='b/0.jpg'), 'Video 3 .*no list of names'),
        (broken(youtube_vis(), 'videos', 1, file_names=[None]), 'Video 3 .*no list of names'),
        (broken(youtube_vis(), 'annotations', 0, segmentations=None), "Annotation 1 .*no 'segmentations'"),
        (broken(youtube_vis(), 'annotations', 0, category_id=None), "Annotation 1 .*no 'category_id'"),
        (broken(youtube_vis(), 'annotations', 0, category_id=[2]), "malformed.*'category_id': .2"),
        (broken(youtube_vis(), 'annotations', 0, id=None), "no 'id'"),
        (broken(youtube_vis(), 'annotations', 0, areas=[5, None, '6']), 'Annotation 1 .*areas that are no numbers'),
        (broken(coco_video(), 'images', 1, frame_id=2), 'Images 13 and 12 of video 7 .*same frame_id, 2'),
        (broken(coco_video(), 'images', 1, frame_id='1'), "Image 12 .*frame_id '1'; give the frame's number"),
        (broken(coco_video(), 'images', 1, frame_id=...), "malformed.*'frame_id'.*a/1.jpg"),
        (broken(coco_video(), 'images', 1, id=13), 'Image id 13 occurs twice'),
        (broken(coco_video(), 'images', 1, video_id=...), "malformed.*'video_id'.*a/1.jpg"),
        (broken(coco_video(), 'annotations', 1, instance_id=None), "no 'instance_id'"),
        (broken(coco_video(), 'annotations', 1, category_id=...), "malformed.*'category_id'.*'id': 1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, content)
    assert 'video.json' in str(caught.value)


def test_absent_file(tmp_path):
    with pytest.raises(MissingFileError, match='absent.json'):
        read_video_json(tmp_path / 'absent.json')
