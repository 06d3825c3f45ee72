"""LabelMe's files: shapes as LabelMe draws them, groups, order, Windows' paths; every fault in one sentence."""

import base64
import importlib.util
import io
import json
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from mask2former.data_tools.custom.labelme import shape_mask
from tests.test_data_tools.kit import failure, instance, picture, run, same, segments

TOOL, SIZE = 'labelme_to_coco', (40, 60)


def shape(label, points, kind='polygon', group=None, **more):
    return dict(label=label, points=points, group_id=group, shape_type=kind, flags={}, **more)


def box(top, left, bottom, right):
    """A rectangle's points, and its mask: LabelMe draws both edges."""
    mask = np.zeros(SIZE, bool)
    mask[top : bottom + 1, left : right + 1] = True
    return [[right, bottom], [left, top]], mask


def png(array):
    with io.BytesIO() as buffer:
        Image.fromarray(array).save(buffer, 'PNG')
        return base64.b64encode(buffer.getvalue()).decode()


def write(path, shapes, image_path='../images/{}.jpg', **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = dict(
        version='5.5.0',
        flags={},
        shapes=shapes,
        imagePath=image_path.format(path.stem),
        imageData=None,
        imageHeight=SIZE[0],
        imageWidth=SIZE[1],
    )
    path.write_text(json.dumps({**content, **more}))


ROAD, CAR, HIDDEN = box(20, 0, 39, 59), box(10, 10, 25, 40), box(12, 12, 14, 14)
WHEEL, OTHER = box(20, 12, 25, 17), box(2, 45, 9, 50)


@pytest.fixture
def tree(tmp_path):
    """Two files; in the first a group of two shapes, with a third one between them, and a label that means nothing."""
    for name in ('a', 'b'):
        picture(tmp_path / 'images' / f'{name}.jpg', SIZE)
    write(
        tmp_path / 'labels' / 'a.json',
        [
            shape('road', ROAD[0], 'rectangle'),
            shape('car', HIDDEN[0], 'rectangle'),
            shape('car', CAR[0], 'rectangle', group=1),
            shape('wheel', WHEEL[0], 'rectangle'),
            shape('car', OTHER[0], 'rectangle', group=1),
            shape('__ignore__', [[0, 0], [5, 0]], 'rectangle'),
            shape('car', [[1, 1]], 'point'),
            shape('lane', [[1, 1], [9, 9]], 'line'),
        ],
        '..\\images\\a.jpg',
    )
    write(tmp_path / 'labels' / 'b.json', [shape('wheel', OTHER[0], 'rectangle')])
    return tmp_path


def convert(tree, *arguments):
    return run(TOOL, tree / 'labels', tree / 'out', '--split', 'train', '--jobs', 1, *arguments)


def fault(tree, *arguments):
    return failure(TOOL, tree / 'labels', tree / 'out', '--split', 'train', '--jobs', 1, *arguments)


def test_panoptic_and_instances(tree):
    printed = convert(tree, '--stuff', 'road')
    assert '1 annotations are wholly covered' in printed and '2 annotations have no area' in printed
    found, void = segments(tree / 'out', 'train')['a.jpg']
    ignored = np.zeros(SIZE, bool)
    ignored[0, :6] = True
    assert same(
        found, [('road', ROAD[1] & ~CAR[1], 0), ('wheel', WHEEL[1], 0), ('car', CAR[1] & ~WHEEL[1] | OTHER[1], 0)]
    )
    assert (void == ~(ROAD[1] | CAR[1] | OTHER[1])).all() and void[ignored].all()
    things = instance(tree / 'out', 'train')
    assert things.metainfo['classes'] == ('car', 'wheel')
    masks = [mask_utils.decode(row['segmentation']).astype(bool) for row in things.get_data_info(0)['instances']]
    assert same([('', mask, 0) for mask in masks], [('', mask, 0) for mask in (HIDDEN[1], CAR[1] | OTHER[1], WHEEL[1])])


def test_smaller_on_top_and_background(tree):
    convert(tree, '--stuff', 'road', '--smaller-on-top', '--background', 'other')
    found, void = segments(tree / 'out', 'train')['a.jpg']
    names = [name for name, *_ in found]
    assert (
        sorted(names) == ['car', 'car', 'other', 'road', 'wheel']
        and (void == np.pad(np.ones((1, 6), bool), ((0, SIZE[0] - 1), (0, SIZE[1] - 6)))).all()
    ), 'what is ignored is not background'
    assert any(name == 'car' and (mask == HIDDEN[1]).all() for name, mask, _ in found)


def test_labels_from_a_file(tree):
    (tree / 'labels.txt').write_text('__ignore__\n_background_\nwheel\nroad\ncar\n')
    convert(tree, '--labels', tree / 'labels.txt', '--stuff', 'road')
    content = json.loads((tree / 'out' / 'annotations' / 'panoptic_train.json').read_text())
    assert [(row['id'], row['name'], row['isthing']) for row in content['categories']] == [
        (1, 'wheel', 1),
        (2, 'road', 0),
        (3, 'car', 1),
    ]
    (tree / 'labels.txt').write_text('wheel\nroad\n')
    assert "a.json' has the label 'car', which is no class; add it to --labels" in fault(
        tree, '--labels', tree / 'labels.txt'
    )
    convert(tree, '--labels', tree / 'labels.txt', '--void', 'car', '__ignore__')


def test_images(tree):
    """Elsewhere, in the file itself, turned by EXIF."""
    (tree / 'images').rename(tree / 'pictures')
    assert "images/a.jpg' of" in fault(tree)
    convert(tree, '--images', tree / 'pictures')
    assert len(segments(tree / 'out', 'train')) == 2
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    write(
        tree / 'labels' / 'b.json',
        [shape('wheel', OTHER[0], 'rectangle')],
        'C:\\Users\\me\\c.png',
        imageData=png(pixels),
    )
    exif = Image.Exif()
    exif[0x0112] = 6  # shown with its sides exchanged
    picture(tree / 'pictures' / 'a.jpg', SIZE[::-1], exif=exif)
    convert(tree, '--images', tree / 'pictures')
    found = segments(tree / 'out', 'train')
    assert (np.asarray(Image.open(tree / 'out' / 'train' / 'b.png')) == pixels).all()
    assert found['a.jpg'][1].shape == SIZE


@pytest.mark.parametrize('name', ['{}', '../../secret.jpg', '..\\..\\secret.jpg'])
def test_no_image_outside_is_copied_into_the_result(tree, name):
    """The folder around that of the JSON files is as far as their names lead, but for --images."""
    inner = tree / 'inner'
    inner.mkdir()
    for folder in ('labels', 'images'):
        (tree / folder).rename(inner / folder)
    picture(tree / 'secret.jpg', SIZE)
    write(inner / 'labels' / 'b.json', [shape('wheel', OTHER[0], 'rectangle')], name.format(tree / 'secret.jpg'))
    assert f"secret.jpg' of '{inner}/labels/b.json' does not exist, or is outside of '{inner}'" in fault(inner)
    assert not (inner / 'out').exists()
    convert(inner, '--images', tree)
    assert (inner / 'out' / 'train' / 'b.jpg').read_bytes() == (tree / 'secret.jpg').read_bytes()


def test_faults(tree):
    assert "'rod' of --stuff is not among the labels" in fault(tree, '--stuff', 'rod')
    write(tree / 'labels' / 'b.json', [shape('wheel', [[0, 0], [1, 1]])])
    assert "The shape 0 ('wheel')" in fault(tree) and '(a polygon of 2 points)' in fault(tree)
    write(tree / 'labels' / 'b.json', [shape('wheel', [[0, 0], [1, 1]], 'star')])
    assert "shape_type 'star' is unknown" in fault(tree)
    write(tree / 'labels' / 'b.json', [], imageHeight=30)
    assert "b.json' is 30 x 60 (H x W), but the image" in fault(tree)
    (tree / 'labels' / 'b.json').write_text('{"shapes": []}')
    assert "b.json' is no file of LabelMe" in fault(tree)
    (tree / 'labels' / 'b.json').write_text('{"shapes": [], "imagePath": null}')
    assert "b.json' is no file of LabelMe" in fault(tree)
    (tree / 'labels' / 'b.json').write_text('{"shapes": [null], "imagePath": "a.jpg"}')
    assert 'The shape 0 of' in fault(tree)
    (tree / 'labels' / 'b.json').write_text('{')
    assert "b.json' is not valid JSON" in fault(tree)
    write(tree / 'labels' / 'b.json', [shape('wheel', OTHER[0], 'rectangle')])
    (tree / 'images' / 'b.jpg').write_bytes(b'')
    assert "b.jpg' cannot be decoded" in fault(tree)
    (tree / 'empty').mkdir()
    assert 'has no JSON file' in failure(TOOL, tree / 'empty', tree / 'out')


def shapes_to_compare():
    rng = np.random.default_rng(0)
    for _ in range(20):
        angles = (np.arange(9) + rng.uniform(0, 0.6, 9)) * 2 * np.pi / 9
        radii = rng.uniform(15, 30, 9)
        yield shape('x', np.stack([30 + radii * np.cos(angles), 20 + radii * np.sin(angles)], 1).tolist())
        yield shape('x', rng.uniform(0, 40, (2, 2)).tolist(), 'circle')
        yield shape('x', rng.uniform(-5, 60, (2, 2)).tolist(), 'rectangle')
        patch = rng.integers(0, 2, rng.integers(1, 20, 2)).astype(bool)
        corner = rng.integers(-10, 45, 2)
        yield shape('x', [corner.tolist(), (corner + patch.shape[::-1] - 1).tolist()], 'mask', mask=png(patch))


def labelme_shapes():
    """LabelMe's module of shapes alone: the package itself needs Qt."""
    spec = importlib.util.find_spec('labelme')
    if spec is None:
        pytest.skip('the package labelme is not installed')
    types = ModuleType('labelme._label_file')
    types.ShapeDict = dict
    module = ModuleType('labelme_shape')
    before = {name: sys.modules.get(name) for name in ('labelme', 'labelme._label_file')}
    try:
        sys.modules.update({'labelme': ModuleType('labelme'), 'labelme._label_file': types})
        exec((Path(spec.submodule_search_locations[0]) / 'utils' / 'shape.py').read_text(), module.__dict__)
    finally:
        for name, former in before.items():
            sys.modules.pop(name)
            if former:
                sys.modules[name] = former
    return module


def test_shapes_equal_labelme():
    """Pixel by pixel, where the package is installed."""
    peer = labelme_shapes()
    for given in shapes_to_compare():
        loaded = dict(given)
        if given['shape_type'] == 'mask':
            if np.min(given['points']) < 0 or (np.max(given['points'], axis=0) >= SIZE[::-1]).any():
                continue  # cut off at the sides: LabelMe 6.3 fails there
            loaded['mask'] = decoded(given['mask'])
        expected, _ = peer.shapes_to_label(SIZE, [loaded], dict(x=1))
        assert (shape_mask(given, SIZE) == (expected == 1)).all(), given


def decoded(mask):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(mask)))).astype(bool)


def test_shapes_are_those_of_geometry():
    """A pixel over 1 inside the outline belongs to the shape, one over 2 outside does not; masks are exact."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    for given in shapes_to_compare():
        mask, points = shape_mask(given, SIZE), np.array(given['points'])
        if given['shape_type'] == 'mask':
            patch = decoded(given['mask'])
            left, top = np.round(points[0]).astype(int)
            expected = np.zeros(SIZE, bool)
            for row, column in np.argwhere(patch):
                if 0 <= top + row < SIZE[0] and 0 <= left + column < SIZE[1]:
                    expected[top + row, left + column] = True
            assert (mask == expected).all(), given
            continue
        if given['shape_type'] == 'polygon':
            outline = points.astype(np.float32)
            inside = np.array(
                [
                    [cv2.pointPolygonTest(outline, (column, row), True) for column in range(SIZE[1])]
                    for row in range(SIZE[0])
                ]
            )
        elif given['shape_type'] == 'circle':
            inside = np.hypot(*(points[1] - points[0])) - np.hypot(x - points[0, 0], y - points[0, 1])
        else:
            (left, top), (right, bottom) = points.min(0), points.max(0)
            inside = np.min([x - left, right - x, y - top, bottom - y], axis=0)
        assert mask[inside > 1].all() and not mask[inside < -2].any(), given
