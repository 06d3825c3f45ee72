"""Annotation files of videos with one value changed: the data set that a training reads, and the data check."""

import json

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from mask2former.datasets import YouTubeVISFormat

from .kit import FINE, judge

NAN, INF, DIGITS = float('nan'), float('inf'), 10**400
SIZE = (8, 12)
RLE = dict(size=list(SIZE), counts=[8, 10, 78])
POLYGON = [[0, 0, 6, 0, 6, 6]]
NUMBERS = [None, 'x', NAN, INF, DIGITS, [1], {}]
MALFORMED = "^Error: An entry of '.*json' is malformed .*; correct it"
SIDE = 'has the (height|width) .*; give a number of pixels'
NO_LIST = 'that are no list; give one for each frame'
MASK = 'that is neither polygons .* nor RLE|^Error: The RLE of an instance is '
NAMES = 'no frame in its file_names|file_names that are no list of names'
OUTSIDE = 'which is outside of the data set'
SETS = "'(videos|annotations|categories)'|malformed|has no '(id|video_id|segmentations)'|video_id 7|category_id"

# Where, key, values, last line.
VIS = [
    ('annotations', 'segmentations', [dict.fromkeys('012', RLE), 'abc'], NO_LIST),
    ('annotations', 'segmentations', [7, [RLE], [RLE] * 4, []], f'{NO_LIST}|segmentations, but video 7 has 3 frames'),
    ('annotations', 'segmentations', [None], "has no 'segmentations'"),
    (
        'annotations',
        'segmentations',
        [[1] * 3, ['a'] * 3, [[None]] * 3, [dict(size=[4, 6], counts=[24])] * 3, [dict(RLE, counts='zz')] * 3],
        f'{MASK}|3 segmentations',
    ),
    ('annotations', 'segmentations', [[dict(size=SIZE[::-1], counts=[96])] * 3, [dict(counts=[96])] * 3], MASK),
    ('annotations', 'segmentations', [[None] * 3, [[]] * 3], FINE),
    ('annotations', 'bboxes', [dict.fromkeys('012', 1), 7, 'abc'], NO_LIST),
    ('annotations', 'bboxes', [[NAN] * 3, [DIGITS] * 3, ['a'] * 3, [None] * 3], FINE),
    ('annotations', 'areas', [dict.fromkeys('012', 1), 7, 'abc'], NO_LIST),
    ('annotations', 'areas', [['a'] * 3, [NAN] * 3, [DIGITS] * 3, [{}] * 3], 'areas that are no numbers'),
    ('annotations', 'iscrowd', ['yes', NAN, INF, [1], {'a': 1}], MALFORMED),
    ('annotations', 'iscrowd', [None, 0, 1, True, ''], FINE),
    ('annotations', 'video_id', NUMBERS, f"{MALFORMED}|has video_id .*, which no|has no 'video_id'"),
    ('annotations', 'category_id', NUMBERS, f"{MALFORMED}|has category_id .*, which no|has no 'category_id'"),
    ('annotations', 'id', [None, [1], {}], f"{MALFORMED}|has no 'id'"),
    ('videos', 'height', [*NUMBERS, 0, -1, 8.0, True, 2**30], SIDE),
    ('videos', 'width', [*NUMBERS, 0, -1, 12.0, True, 2**30], SIDE),
    ('videos', 'height', [9, 2**20], 'is 9 x 12|is 1048576 x 12'),
    ('videos', 'id', [None, 'x', NAN, DIGITS, [1], {}], f'{MALFORMED}|has video_id 7, which no'),
    ('videos', 'file_names', [None, [], 'abc', 7, [None] * 3, {'a': 1}], NAMES),
    ('videos', 'file_names', [['../../x'] * 3, ['/etc/passwd'] * 3, ['a\0'] * 3], OUTSIDE),
    ('videos', 'file_names', [['no.png'] * 3, ['.'] * 3], 'does not exist|cannot be decoded'),
    ('categories', 'color', ['red', 7, [NAN] * 3], FINE),
    ('', 'videos', [None, {}, 'x', 7, [None], [[]], ['x'], [{}]], SETS),
    ('', 'annotations', [None, 7, [None], [[]], ['x'], [{}]], SETS),
    ('', 'categories', [None, [], {}, 'x', 7, [None], [[]], ['x'], [{}]], f'{SETS}|^Error: Category '),
]
COCO_VIDEO = [
    ('images', 'frame_id', [*NUMBERS, True], 'has the frame_id .*; give|the same frame_id'),
    ('images', 'height', [*NUMBERS, 0, 8.5], f'{SIDE}|frames of a video must have one size|{MALFORMED}'),
    ('images', 'file_name', [None, 7, [1], {}], NAMES),
    ('images', 'id', [[1], {}], MALFORMED),
    ('images', 'id', ['x', NAN, DIGITS], 'has image_id 1, which no'),
    ('annotations', 'image_id', NUMBERS, f'{MALFORMED}|has image_id .*, which no'),
    ('annotations', 'instance_id', [None], "has no 'instance_id'"),
    ('annotations', 'instance_id', [[1], {}], MALFORMED),
    ('annotations', 'iscrowd', ['yes', NAN, INF, [1]], MALFORMED),
    ('annotations', 'area', ['x', NAN, DIGITS, [1]], FINE),  # not all frames have one, so that none counts
    ('annotations', 'segmentation', [None], "has no 'segmentation'"),
    ('annotations', 'segmentation', [7, 'x', {'a': 1}, [['a'] * 6]], MASK),
    ('', 'images', [7, [None], ['video_id'], [{}]], f"{MALFORMED}|has no 'videos'"),
    ('', 'annotations', [7, [None], [[]], ['x'], [{}]], f"{MALFORMED}|has no 'instance_id'"),
]


def youtube_vis() -> dict:
    names = [f'{number}.png' for number in range(3)]
    track = dict(id=1, video_id=7, category_id=2, iscrowd=0, segmentations=[RLE, None, POLYGON])
    return dict(
        videos=[dict(id=7, height=SIZE[0], width=SIZE[1], file_names=names)],
        annotations=[track, dict(track, id=2, category_id=5, segmentations=[None, POLYGON, None])],
        categories=[dict(id=2, name='cat'), dict(id=5, name='dog')],
    )


def coco_video() -> dict:
    image = dict(id=1, video_id=7, frame_id=0, file_name='0.png', height=SIZE[0], width=SIZE[1])
    shown = dict(id=1, image_id=1, instance_id=4, category_id=2, segmentation=RLE)
    return dict(
        images=[image, dict(image, id=2, frame_id=1, file_name='1.png')],
        annotations=[shown, dict(shown, id=2, image_id=2, segmentation=POLYGON)],
        categories=youtube_vis()['categories'],
    )


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    init_default_scope('mask2former')
    folder = tmp_path_factory.mktemp('videos')
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f'{number}.png')
    return folder


CASES = [
    pytest.param(make, where, key, value, last, id=f'{make.__name__}-{where}-{key}-{ascii(value)[:30]}')
    for make, table in ((youtube_vis, VIS), (coco_video, COCO_VIDEO))
    for where, key, values, last in table
    for value in values
]


@pytest.mark.parametrize(('make', 'where', 'key', 'value', 'last'), CASES)
def test_a_value(folder, make, where, key, value, last):
    content = make()
    (content[where][0] if where else content)[key] = value
    (folder / 'videos.json').write_text(json.dumps(content))
    pipeline = [dict(type='SampleFrames', num_frames=None), dict(type='LoadFrames'), dict(type='LoadTrackSegments')]
    options = dict(data_root=str(folder), ann_file='videos.json', pipeline=pipeline, serialize_data=False)
    judge(lambda lazy_init: YouTubeVISFormat(lazy_init=lazy_init, **options), last)


@pytest.mark.parametrize('make', [youtube_vis, coco_video])
def test_the_sound_file_is_sound(folder, make):
    test_a_value(folder, make, '', 'info', {}, FINE)
