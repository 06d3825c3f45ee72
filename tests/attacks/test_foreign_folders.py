"""Folders in the formats of labelling tools with one value changed: what becomes of them for `mask2former train`."""

import base64
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mask2former.auto.data import prepare, recognise

from .kit import FINE, last_line

SIZE = (24, 32)
NAN, INF, DIGITS, HALF = float('nan'), float('inf'), 10**400, '\ud800'
LISTS = [[1], {'a': 1}]
NUMBERS = [7, -1, 1.5, NAN, INF, DIGITS, True]
CORNERS = [[2, 2], [12, 2], [12, 12]]


def pictures(folder: Path) -> None:
    folder.mkdir(parents=True)
    for seed, name in enumerate('ab'):
        pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f'{name}.png')


def put(content: Any, path: tuple, value: Any) -> None:
    for key in path[:-1]:
        content = content[key]
    content[path[-1]] = value


def coco(folder: Path, path: tuple, value: Any) -> None:
    pictures(folder / 'images')
    images = [dict(id=n, file_name=f'{name}.png', height=SIZE[0], width=SIZE[1]) for n, name in enumerate('ab', 1)]
    segment = dict(category_id=1, segmentation=[[2, 2, 12, 2, 12, 12]], area=50, bbox=[2, 2, 10, 10], iscrowd=0)
    content = dict(
        images=images,
        annotations=[dict(segment, id=n, image_id=n) for n in (1, 2)],
        categories=[dict(id=1, name='cat'), dict(id=2, name='dog')],
    )
    put(content, path, value)
    (folder / 'instances.json').write_text(json.dumps(content))


def panoptic(folder: Path, path: tuple, value: Any) -> None:
    pictures(folder / 'images')
    (folder / 'maps').mkdir()
    ids = np.zeros((*SIZE, 3), np.uint8)
    ids[2:12, 2:12, 0] = 7
    for name in 'ab':
        Image.fromarray(ids).save(folder / 'maps' / f'{name}.png')
    images = [dict(id=n, file_name=f'{name}.png', height=SIZE[0], width=SIZE[1]) for n, name in enumerate('ab', 1)]
    content = dict(
        images=images,
        annotations=[
            dict(image_id=n, file_name=f'{name}.png', segments_info=[dict(id=7, category_id=1)])
            for n, name in enumerate('ab', 1)
        ],
        categories=[dict(id=1, name='cat', isthing=1), dict(id=2, name='dog', isthing=0)],
    )
    put(content, path, value)
    (folder / 'panoptic.json').write_text(json.dumps(content))


def labelme(folder: Path, path: tuple, value: Any) -> None:
    pictures(folder)
    for name in 'ab':
        shape = dict(label='cat', points=[list(xy) for xy in CORNERS], shape_type='polygon', group_id=None)
        size = dict(imageHeight=SIZE[0], imageWidth=SIZE[1])
        content = dict(shapes=[shape], imagePath=f'{name}.png', imageData=None, **size)
        if name == 'a':
            put(content, path, value)
        (folder / f'{name}.json').write_text(json.dumps(content))


def via(folder: Path, path: tuple, value: Any) -> None:
    pictures(folder)
    content = {}
    for name in 'ab':
        shape = dict(name='polygon', all_points_x=[2, 12, 12], all_points_y=[2, 2, 12])
        region = dict(shape_attributes=shape, region_attributes=dict(label='cat'))
        content[name] = dict(filename=f'{name}.png', size=1, regions=[region])
    put(content, path, value)
    (folder / 'via.json').write_text(json.dumps(content))


def supervisely(folder: Path, path: tuple, value: Any) -> None:
    pictures(folder / 'set' / 'img')
    (folder / 'set' / 'ann').mkdir()
    meta = dict(classes=[dict(title='cat', shape='polygon'), dict(title='dog', shape='bitmap')])
    mask = dict(data=packed(4, 4), origin=[1, 1])
    drawn = dict(exterior=[list(xy) for xy in CORNERS], interior=[])
    for name in 'ab':
        objects = [
            dict(classTitle='cat', geometryType='polygon', points=drawn),
            dict(classTitle='dog', geometryType='bitmap', bitmap=mask),
        ]
        content = dict(size=dict(height=SIZE[0], width=SIZE[1]), objects=objects)
        if name == 'a':
            put(dict(meta=meta, ann=content), path, value)
        (folder / 'set' / 'ann' / f'{name}.png.json').write_text(json.dumps(content))
    (folder / 'meta.json').write_text(json.dumps(meta))


def yolo(folder: Path, path: tuple, value: Any) -> None:
    pictures(folder / 'images')
    (folder / 'labels').mkdir()
    texts = dict(yaml='names: [cat, dog]\ntrain: x\n', a='0 0.1 0.1 0.5 0.1 0.5 0.5\n')
    texts[path[0]] = value
    (folder / 'data.yaml').write_text(texts['yaml'])
    (folder / 'labels' / 'a.txt').write_text(texts['a'])
    (folder / 'labels' / 'b.txt').write_text('1 0.1 0.1 0.5 0.1 0.5 0.5\n')


def cvat(folder: Path, path: tuple, value: Any) -> None:
    pictures(folder)
    image = (
        '<image name="{}.png" width="32" height="24">'
        '<polygon label="cat" points="2,2;12,2;12,12" z_order="0" group_id="1"/></image>'
    )
    text = '<?xml version="1.0" encoding="utf-8"?><annotations>{}{}</annotations>'
    text = text.format(image.format('a'), image.format('b'))
    (folder / 'annotations.xml').write_text(text.replace(path[0], value, 1))


def packed(width: int, height: int) -> str:
    """A bitmap of Supervisely."""
    png = io.BytesIO()
    Image.fromarray(np.ones((height, width), np.uint8)).save(png, 'PNG')
    return base64.b64encode(zlib.compress(png.getvalue())).decode()


BOMB = 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n' + ''.join(
    f'a{n}: &a{n} [{", ".join([f"*a{n - 1}"] * 10)}]\n' for n in range(1, 10)
)
REFUSED, TAKEN = False, True
TABLES = [  # format, where, what becomes of it, values
    (coco, ('categories',), REFUSED, [None, 'x', *NUMBERS, *LISTS, [None], [[]], ['x'], [{}]]),
    (coco, ('categories', 0, 'id'), REFUSED, [None, 'x', -1, NAN, DIGITS, *LISTS]),
    (coco, ('categories', 0, 'name'), REFUSED, [None, HALF, *NUMBERS, *LISTS]),
    (coco, ('categories', 0, 'supercategory'), REFUSED, LISTS),
    (coco, ('categories', 0, 'supercategory'), TAKEN, [None, 'x', *NUMBERS]),
    (coco, ('categories', 0, 'color'), TAKEN, [None, 'red', *NUMBERS, *LISTS, [300, -1, 5]]),
    (coco, ('images', 0, 'id'), REFUSED, [None, 'x', -1, NAN, DIGITS, *LISTS]),
    (coco, ('images', 0, 'file_name'), REFUSED, [None, '', 'a\0', '../x.png', '/etc/passwd', HALF, *NUMBERS, *LISTS]),
    (coco, ('images', 0), REFUSED, [None, 'x', *NUMBERS, *LISTS]),
    (coco, ('annotations', 0, 'category_id'), REFUSED, [None, 'x', -1, NAN, DIGITS, *LISTS]),
    (coco, ('annotations', 0, 'image_id'), REFUSED, [None, 'x', -1, NAN, DIGITS, *LISTS]),
    (coco, ('annotations', 0), REFUSED, [None, 'x', *NUMBERS, *LISTS]),
    (panoptic, ('annotations', 0, 'segments_info'), REFUSED, [None, 'x', *NUMBERS, [None], [7], [[]], ['x'], [{}]]),
    (panoptic, ('annotations', 0, 'file_name'), REFUSED, [None, '', '/etc/passwd', HALF, *NUMBERS, *LISTS]),
    (panoptic, ('annotations', 0, 'segments_info', 0, 'category_id'), REFUSED, [None, 'x', NAN, DIGITS, *LISTS]),
    (panoptic, ('categories',), REFUSED, [None, 'x', *NUMBERS, [None], [{}]]),
    (panoptic, ('categories', 0, 'supercategory'), REFUSED, LISTS),
    (labelme, ('shapes', 0, 'group_id'), REFUSED, LISTS),
    (labelme, ('shapes', 0, 'group_id'), TAKEN, [None, 'x', *NUMBERS]),
    (labelme, ('shapes', 0, 'label'), REFUSED, [None, HALF, *NUMBERS, *LISTS]),
    (labelme, ('shapes', 0, 'points'), REFUSED, [None, 'x', *NUMBERS, [1], [[1]], [[NAN] * 2] * 3, [[DIGITS] * 2] * 3]),
    (labelme, ('shapes', 0, 'points'), TAKEN, [[[1e9, 0], [0, 1e9], [-1e9, 5]], [[1e300, 0], [0, 1e300], [5, 5]]]),
    (labelme, ('shapes', 0, 'shape_type'), REFUSED, ['x', 'circle', 'mask', 7, *LISTS]),
    (labelme, ('imagePath',), REFUSED, [None, '../../x.png', '/etc/passwd', *NUMBERS, *LISTS]),
    (labelme, ('imageHeight',), REFUSED, ['x', *NUMBERS, *LISTS]),
    (via, ('a', 'regions'), REFUSED, [*NUMBERS, 'x', [None], [7], ['x'], [[]], [{}]]),
    (via, ('a', 'regions'), TAKEN, [None, [], {}]),
    (via, ('a', 'filename'), REFUSED, [None, '', '../x.png', *NUMBERS, *LISTS]),
    (via, ('a', 'regions', 0, 'shape_attributes'), REFUSED, [None, 'x', *NUMBERS, [1], {}]),
    (via, ('a', 'regions', 0, 'shape_attributes', 'all_points_x'), REFUSED, [None, *NUMBERS, [NAN] * 3, [DIGITS] * 3]),
    (via, ('a', 'regions', 0, 'region_attributes', 'label'), REFUSED, [HALF]),
    (supervisely, ('ann', 'objects', 1, 'bitmap', 'origin'), REFUSED, [None, 'x', 7, [INF] * 2, [NAN] * 2, ['a'] * 2]),
    (supervisely, ('ann', 'objects', 1, 'bitmap', 'origin'), TAKEN, [[DIGITS] * 2, [-DIGITS] * 2]),
    (supervisely, ('ann', 'objects', 1, 'bitmap', 'data'), REFUSED, [None, 7, '', 'x', '!!', [1], packed(3000, 3000)]),
    (supervisely, ('ann', 'objects', 1, 'bitmap', 'data'), TAKEN, [packed(*SIZE[::-1]), packed(40, 30)]),
    (supervisely, ('ann', 'objects', 0, 'points', 'exterior'), REFUSED, [None, 'x', *NUMBERS, [[DIGITS, 1]] * 3]),
    (supervisely, ('meta', 'classes', 0, 'title'), REFUSED, [HALF]),
    (yolo, ('yaml',), REFUSED, [f'{BOMB}names: [cat, *a9]\ntrain: x\n', f'{BOMB}names: *a9\ntrain: x\n']),
    (yolo, ('yaml',), REFUSED, ['names: &n [cat, *n]\ntrain: x\n', f'names: {"[" * 3000}{"]" * 3000}\ntrain: x\n']),
    (
        yolo,
        ('yaml',),
        REFUSED,
        [
            f'names: {{0: cat, {key}: dog}}\ntrain: x\n'
            for key in ('.inf', '.nan', '~', '-1', '9' * 400, '? [a]', f'0x{"f" * 6000}')
        ],
    ),
    (
        yolo,
        ('yaml',),
        REFUSED,
        [f'names: [cat, dog]\nnc: 0x{"f" * 6000}\ntrain: x\n', 'names: [cat, "\\ud800"]\nnc: 2\n'],
    ),
    (yolo, ('a',), REFUSED, ['0 9 0.1 0.5 0.1 0.5 0.5\n', '0 0.1 0.1 0.5 0.1 0.5\n']),
    (cvat, ('z_order="0"',), REFUSED, [f'z_order="{value}"' for value in ('a', '1.5', 'nan', '9' * 5000, '&lt;')]),
    (cvat, ('group_id="1"',), REFUSED, [f'group_id="{value}"' for value in ('a', '1.5', '9' * 5000)]),
    (cvat, ('2,2;',), REFUSED, [f'{value},2;' for value in ('a', 'nan', 'inf', '1e400', '')]),
    (cvat, ('utf-8',), REFUSED, ['utf-7', 'foo', 'shift_jis', 'rot13', 'hex', 'utf-16', 'cp037']),
    (cvat, ('<annotations>',), REFUSED, ['<!DOCTYPE x [<!ENTITY a "b">]><annotations>', '<annotations><']),
    (cvat, ('name="a.png"',), REFUSED, ['', 'name=""', 'name="/etc/passwd"', 'name="../x.png"']),
]


def end_of(make: Callable, folder: Path, path: tuple, value: Any) -> str:
    make(folder / 'in', path, value)
    return last_line(lambda: prepare(recognise(folder / 'in'), folder / 'out', val_share=0.5))


@pytest.mark.parametrize(
    ('make', 'path', 'is_taken', 'value'),
    [
        pytest.param(
            make, path, is_taken, value, id=f'{make.__name__}-{".".join(map(str, path))}-{ascii(value)[:30]}-{number}'
        )
        for number, (make, path, is_taken, values) in enumerate(TABLES)
        for value in values
    ],
)
def test_a_value(tmp_path, make, path, is_taken, value):
    line = end_of(make, tmp_path, path, value)
    assert line == FINE if is_taken else line.startswith('Error: ') and str(tmp_path) in line, line


def test_nested_text_in_one_of_many_files(tmp_path):
    labelme(tmp_path / 'in', ('shapes', 0, 'label'), 'cat')
    for name in 'cde':
        (tmp_path / 'in' / f'{name}.json').write_bytes((tmp_path / 'in' / 'a.json').read_bytes())
    (tmp_path / 'in' / 'e.json').write_text(f'{{"shapes": {"[" * 100_000}')
    line = last_line(lambda: prepare(recognise(tmp_path / 'in'), tmp_path / 'out'))
    assert line.startswith('Error: ') and "e.json' is not valid JSON" in line


@pytest.mark.parametrize('make', [coco, panoptic, labelme, via, supervisely, yolo, cvat])
def test_the_sound_folder_is_sound(tmp_path, make):
    where = {labelme: 'shapes', via: 'x', supervisely: 'meta', yolo: 'none', cvat: 'annotations'}.get(make, 'info')
    paths = {labelme: ('flags',), supervisely: ('tags',), via: ('a', 'size'), cvat: ('nothing',)}
    assert end_of(make, tmp_path, paths.get(make, (where,)), '') == FINE
