"""Files of results with one value changed: refused in a sentence before anything is made of them."""

import copy
import pickle

import numpy as np
import pytest

from mask2former.evaluation.results_file import as_sample, read_results
from mask2former.formats.rle import encode_mask

from .kit import FINE, last_line

SIZE = (4, 6)
MASK = {key: value for key, value in encode_mask(np.eye(*SIZE, dtype=np.uint8)).items()}
NAN, DIGITS = float('nan'), 10**400
MASKS = [
    None,
    7,
    'x',
    [],
    {},
    dict(size=SIZE),
    dict(MASK, counts=[24]),
    dict(MASK, counts=None),
    dict(MASK, counts=b''),
    dict(MASK, counts=b'1'),  # too few
    dict(MASK, counts=b'PPYf0'),  # too many
    dict(MASK, counts=b'oooooooo3'),
    dict(MASK, counts=b'ooooo'),  # no end
    dict(MASK, counts='é'),
    dict(MASK, size=None),
    dict(MASK, size=[4]),
    dict(MASK, size=SIZE[::-1]),
    dict(MASK, size=[-4, -6]),
    dict(MASK, size=[2**20, 2**20]),  # pycocotools wrote where there was no memory
    dict(MASK, size=[2**31, 2**31]),
    dict(MASK, size=[0, 0]),
]
SIZES = [None, 7, 'ab', [], (4,), (4, 6, 3), (-1, 4), (0, 4), (4.0, 6.0), ('a', 'b'), (2**20, 2**20), (10**9, 1)]
ROWS = [None, 7, 'x', {}, [None], [7], [[]], [{}]]
LABELS = [None, 'x', -1, 1.5, 10**9, DIGITS, [1]]
IDS = [None, 'x', 0, -1, 1.5, 2**32, DIGITS, [1]]
SCORES = [None, 'x', NAN, DIGITS, [1]]
ARRAYS = [None, 7, 'x', [], [1, 2], np.ones((1, 1)), np.array([NAN]), np.array(['a']), np.array([{}], dtype=object)]

CASES = [  # what is changed, of which field, values
    ('img_id', '', [1.5, NAN, [1], {}]),
    ('ori_shape', '', SIZES),
    *((field, '', ROWS) for field in ('panoptic', 'semantic', 'tracks', 'panoptic_video', 'semantic_video')),
    ('instances', '', [None, 7, [], {}, dict(labels=[1])]),
    *(('instances', key, ARRAYS[:-1]) for key in ('labels', 'scores', 'bboxes')),
    ('instances', 'labels', [np.array([-1]), np.array([2**40]), np.array([1.5])]),
    ('instances', 'masks', [None, 7, 'x', [], {}, *([mask] for mask in MASKS)]),
    *((field, 'label', LABELS) for field in ('panoptic', 'semantic', 'tracks', 'semantic_video')),
    *((field, 'mask', MASKS) for field in ('panoptic', 'semantic')),
    *((field, 'id', IDS) for field in ('panoptic', 'panoptic_video')),
    *((field, 'score', SCORES) for field in ('panoptic', 'tracks')),
    ('tracks', 'segmentations', [7, 'x', {}, [7], *([mask] for mask in MASKS[1:])]),
    (
        'panoptic_video',
        'segmentations',
        [None, 7, 'x', {}, [7], [], [None], [None] * 3, *([m, None] for m in MASKS[1:])],
    ),
    ('num_frames', '', [None, 'x', 0, -1, 1.5, 3, 10**9, DIGITS]),
]


def result() -> dict:
    """Of an image and of a video at once."""
    track = dict(score=0.5, label=1, segmentations=[MASK, None])
    arrays = dict(labels=np.array([1]), scores=np.array([0.5], np.float32), bboxes=np.zeros((1, 4), np.float32))
    return dict(
        img_id=1,
        img_path='a.jpg',
        ori_shape=SIZE,
        instances=dict(arrays, masks=[MASK]),
        panoptic=[dict(id=1, label=1, isthing=True, score=0.5, mask=MASK)],
        semantic=[dict(label=1, mask=MASK)],
        tracks=[track],
        panoptic_video=[dict(track, id=1)],
        semantic_video=[dict(label=1, segmentations=[MASK, None])],
        num_frames=2,
    )


def read(folder, content) -> str:
    path = folder / 'all.pkl'
    path.write_bytes(pickle.dumps([content]))

    def run() -> None:
        [read] = read_results(path)
        as_sample(read)
        as_sample(dict(read, video_id=1))

    return last_line(run)


@pytest.mark.parametrize(
    ('field', 'key', 'value'),
    [
        pytest.param(field, key, value, id=f'{field}-{key}-{ascii(value)[:40]}-{number}')
        for field, key, values in CASES
        for number, value in enumerate(values)
    ],
)
def test_a_value(tmp_path, field, key, value):
    content = copy.deepcopy(result())
    if not key:
        content[field] = value
    elif field == 'instances':
        content[field][key] = value
    else:
        content[field][0][key] = value
    line = read(tmp_path, content)
    assert line.startswith('Error: ') and "all.pkl' " in line, line


def test_what_is_sound_is_read(tmp_path):
    assert read(tmp_path, result()) == FINE
    empty = dict(
        result(), instances=dict(labels=[], scores=[], bboxes=np.zeros((0, 4)), masks=[]), panoptic=[], tracks=[]
    )
    empty['instances'].update(labels=np.zeros(0, np.int64), scores=np.zeros(0, np.float32))
    assert read(tmp_path, empty) == FINE
    assert read(tmp_path, dict(img_id='a', ori_shape=list(SIZE))) == FINE


@pytest.mark.parametrize('mask', [MASK, *MASKS[1:]], ids=lambda mask: ascii(mask)[:40])
def test_tracks_alone_need_no_size(tmp_path, mask):
    tracks = [dict(score=0.5, label=1, segmentations=[None, mask])]
    line = read(tmp_path, dict(img_id=None, ori_shape=None, video_id=4, tracks=tracks))
    sound = mask in (MASK, dict(MASK, size=SIZE[::-1]))
    assert line == FINE if sound else line.startswith('Error: '), line
