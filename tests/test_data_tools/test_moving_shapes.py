"""The moving_shapes data set: valid YouTube-VIS files, reproducible, with everything that a tracker meets."""

import json
import sys
from collections import Counter, defaultdict

import cv2
import numpy as np
import pytest
from mmdet.evaluation.functional import YTVIS
from PIL import Image
from pycocotools import mask as mask_utils

import mask2former.data_tools.shapes.moving as moving
from mask2former.data_tools.shapes import generate_moving_shapes
from mask2former.data_tools.shapes.motion import SITUATIONS, draw_video
from mask2former.data_tools.shapes.scene import CATEGORIES
from tests.tools import load_tool

SIZE = (48, 64)
ARGUMENTS = dict(size=SIZE, frames=(4, 9), seed=3)


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob('*') if path.is_file()}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('moving_shapes')
    assert generate_moving_shapes(folder, num_train=20, num_val=3, **ARGUMENTS)
    return folder


@pytest.fixture(scope='module')
def train(root):
    return json.loads((root / 'train.json').read_text())


def test_files_are_youtube_vis(root, train):
    api = YTVIS(str(root / 'train.json'))  # mmdet's copy of the official reader
    assert sorted(api.getVidIds()) == list(range(1, 21))
    assert set(api.getCatIds()) == {category['id'] for category in CATEGORIES if category['isthing']}
    ids = [annotation['id'] for annotation in train['annotations']]
    assert ids == list(range(1, len(ids) + 1))
    for video in train['videos']:
        assert video['length'] == len(video['file_names'])
        for name in video['file_names']:
            assert Image.open(root / 'train' / 'JPEGImages' / name).size == (video['width'], video['height'])
        tracks = api.loadAnns(api.getAnnIds(vidIds=[video['id']]))
        size = [video['height'], video['width']]
        for track in tracks:
            assert {track['height'], track['width']} == set(size) and track['length'] == video['length']
            assert all(len(track[key]) == video['length'] for key in ('segmentations', 'bboxes', 'areas'))
            assert any(track['segmentations'])
            for rle, box, area in zip(track['segmentations'], track['bboxes'], track['areas']):
                assert (rle is None) == (box is None) == (area is None)
                if rle:
                    assert rle['size'] == size and isinstance(rle['counts'], str)
                    assert area == mask_utils.area(rle) > 0 and box == mask_utils.toBbox(rle).tolist()
        for frame in range(video['length']):  # what is seen of things does not overlap
            rles = [track['segmentations'][frame] for track in tracks if track['segmentations'][frame]]
            assert sum(mask_utils.decode(rle).astype(int) for rle in rles).max(initial=0) <= 1 if rles else True


def test_lengths_sizes_and_crowds(train):
    lengths = [video['length'] for video in train['videos']]
    assert lengths[9] == lengths[19] == 1
    others = set(lengths[:9] + lengths[10:19])
    assert others <= set(range(4, 10)) and len(others) > 3
    assert {(video['height'], video['width']) for video in train['videos']} == {SIZE, SIZE[::-1]}
    crowds = Counter(annotation['iscrowd'] for annotation in train['annotations'])
    assert 0 < crowds[1] < crowds[0]


def test_things_appear_vanish_grow_and_cross(train):
    seen = defaultdict(list)
    for annotation in train['annotations']:
        seen[annotation['video_id']].append([bool(rle) for rle in annotation['segmentations']])
    flat = [track for tracks in seen.values() for track in tracks if len(track) > 1]
    assert any(not track[0] and track[-1] for track in flat), 'none enters'
    assert any(track[0] and not track[-1] for track in flat), 'none leaves'
    areas = [[area for area in annotation['areas'] if area] for annotation in train['annotations']]
    assert any(max(area) > 3 * min(area) for area in areas)
    pairs = Counter((a['video_id'], a['category_id']) for a in train['annotations'] if not a['iscrowd'])
    assert max(pairs.values()) >= 2, 'no two things of a class in one video'


def test_every_situation_is_as_its_name_says():
    sides, unit = np.array([160, 96]), 96
    inside = lambda point: np.all((0 <= point) & (point <= sides))  # noqa: E731
    of_name = {situation.__name__: situation for situation in SITUATIONS}
    for seed in range(30):
        make = lambda name: of_name[name](np.random.default_rng(seed), sides, unit)  # noqa: B023, E731
        (entering,), (leaving,) = make('_enter'), make('_leave')
        assert inside(entering.end) and not inside(entering.start)
        assert inside(leaving.start) and not inside(leaving.end)
        first, second = make('_cross')
        assert (first.name, first.radius, first.look) == (second.name, second.radius, second.look)
        (_, one), (_, other) = first.contours(0.5), second.contours(0.5)
        assert np.hypot(*(one - other)) < first.radius, 'they do not meet half-way'
        assert np.dot(first.end - first.start, second.end - second.start) < 0
        still, cover = make('_uncover')
        assert np.array_equal(still.start, still.end)
        (contour, *_), (shape, *_) = cover.contours(0)[0][0], still.contours(0)[0][0]
        assert all(cv2.pointPolygonTest(contour.astype(np.float32), point.tolist(), False) > 0 for point in shape)
        assert np.hypot(*(cover.end - still.end)) > 0.5 * unit
        assert make('_grow')[0].growth in (0.3, 3.0) and abs(make('_turn')[0].spin) >= 3
        assert len(make('_flock')[0].crowd) == 6


def test_the_camera_moves_the_ground():
    movers, frames = draw_video(np.random.default_rng(2), (64, 96), 9)
    images = [frame.image for frame in frames]
    assert len(images) == 9 and movers
    shift, _ = cv2.phaseCorrelate(*(images[i].mean(axis=2).astype(np.float64) for i in (0, 8)))
    assert np.hypot(*shift) > 2


def test_videos_do_not_depend_on_counts_or_workers(root, tmp_path):
    generate_moving_shapes(tmp_path, num_train=3, num_val=2, num_workers=2, **ARGUMENTS)
    fewer, more = contents(tmp_path), contents(root)
    frames = [name for name in fewer if name.endswith('.jpg')]
    assert len(frames) > 20 and all(fewer[name] == more[name] for name in frames)
    few, many = (json.loads(part['train.json']) for part in (fewer, more))
    assert few['videos'] == many['videos'][:3]
    assert few['annotations'] == [a for a in many['annotations'] if a['video_id'] <= 3]
    generate_moving_shapes(tmp_path / 'other', num_train=1, num_val=0, **{**ARGUMENTS, 'seed': 4})
    name = 'train/JPEGImages/0000/00000.jpg'
    assert contents(tmp_path / 'other')[name] != more[name]


def test_complete_set_is_left_alone_and_other_parameters_are_refused(tmp_path, capsys, monkeypatch):
    arguments = dict(num_train=1, num_val=0, size=(32, 32), frames=(2, 2))
    assert generate_moving_shapes(tmp_path, **arguments)
    before = contents(tmp_path)
    assert not generate_moving_shapes(tmp_path, **arguments)
    assert 'nothing to do' in capsys.readouterr().out
    with pytest.raises(ValueError, match='other parameters'):
        generate_moving_shapes(tmp_path, **{**arguments, 'frames': (2, 3)})
    (tmp_path / 'train' / 'JPEGImages' / '0000' / '00001.jpg').unlink()
    assert generate_moving_shapes(tmp_path, **arguments)
    assert contents(tmp_path) == before

    def interrupted(*args):
        raise KeyboardInterrupt

    (tmp_path / 'train' / 'JPEGImages' / '0000' / '00001.jpg').unlink()
    with monkeypatch.context() as patch:
        patch.setattr(moving, 'draw_video', interrupted)
        with pytest.raises(KeyboardInterrupt):
            generate_moving_shapes(tmp_path, **arguments)
    assert not (tmp_path / 'moving_shapes.json').exists()


@pytest.mark.parametrize(
    'name, value', [('num_train', -1), ('size', (16, 64)), ('frames', (0, 3)), ('frames', (5, 4)), ('seed', -1)]
)
def test_bad_arguments_name_themselves(tmp_path, name, value):
    with pytest.raises(ValueError, match=name):
        generate_moving_shapes(tmp_path, **{'num_train': 1, 'num_val': 1, name: value})
    assert not list(tmp_path.iterdir())


def test_command_line(tmp_path, monkeypatch, capsys):
    tool = load_tool('dataset_converters/make_moving_shapes')
    words = [str(tmp_path), '--num-train', '1', '--num-val', '1', '--size', '32', '--frames', '2', '3']
    monkeypatch.setattr(sys, 'argv', ['make_moving_shapes.py', *words])
    tool.main()
    assert f'{tmp_path} has 1 videos for training and 1 for validation.' in capsys.readouterr().out
    assert Image.open(tmp_path / 'val' / 'JPEGImages' / '0000' / '00001.jpg').size == (32, 32)
