"""Faults of image files and maps: each is planted alone into sound data, found and named."""

import json
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mask2former.data_tools.check import Settings, check_splits, read_split

from .conftest import FORMS, kinds


@pytest.mark.parametrize('headers_only', [True, False])
@pytest.mark.parametrize('form', FORMS)
def test_sound_data_has_no_problem(sound, form, headers_only):
    report = sound.check(form, headers_only=headers_only, num_queries=100)
    assert report.num_errors == 0 and not report.duplicates
    assert not kinds(report.splits[0]) and not kinds(report.splits[1])


def cut(path):
    path.write_bytes(path.read_bytes()[: -len(path.read_bytes()) // 3])


def save_turned(path, orientation):
    image = Image.open(path).convert('RGB')
    exif = Image.Exif()
    exif[274] = orientation
    image.save(path, exif=exif, quality=95)


def grow(path):
    """The class-id map with a column more."""
    Image.fromarray(np.pad(np.array(Image.open(path)), ((0, 0), (0, 1)))).save(path)


IMAGE_FAULTS = [
    ('missing image', Path.unlink, True),
    ('corrupt image', lambda path: path.write_bytes(b'no image'), True),
    ('corrupt image', cut, False),
    ('wrong size', lambda path: Image.new('RGB', (10, 20)).save(path), True),
    ('wrong size', lambda path: save_turned(path, 6), True),
    ('turned by EXIF', lambda path: save_turned(path, 3), True),
]


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('kind, spoil, in_header', IMAGE_FAULTS)
def test_a_fault_of_an_image(data, form, kind, spoil, in_header):
    path = data.image(2)
    spoil(path)
    for headers_only in (True, False):
        [split] = data.check(form, headers_only=headers_only, splits=('train',)).splits
        found = kinds(split)
        if form == 'semantic':  # the folder says which images there are, and the map their size
            if kind == 'missing image':
                assert found == {'map without image': 1}
                continue
            found -= Counter({'turned by EXIF': kind == 'wrong size'})
        assert found == ({kind: 1} if in_header or not headers_only else {})
        for problem in split.problems:
            if problem.kind == kind:
                assert path.name in problem.text or form == 'semantic' and path.stem in problem.text
                assert problem.image == (path.stem if form == 'semantic' else 3)
                assert problem.is_error == (kind != 'turned by EXIF')


@pytest.mark.parametrize('orientation', range(1, 9))
def test_the_size_is_that_of_the_loaded_image(data, orientation):
    path = data.image(2)
    save_turned(path, orientation)
    height, width = cv2.imread(str(path)).shape[:2]
    [split] = data.check('panoptic', headers_only=True, splits=('train',)).splits
    assert split.image_reports[3].size == (width, height)
    found = kinds(split)
    assert found == ({} if orientation == 1 else {'wrong size' if height > width else 'turned by EXIF': 1})


def test_turned_images_are_right_where_the_pipeline_does_not_turn_them(data):
    save_turned(data.image(2), 6)
    source = read_split(data.dataset('panoptic'), Settings('train', turns=False))
    assert not kinds(check_splits([source], headers_only=True, jobs=1).splits[0])


MAP_FAULTS = [
    ('missing map', Path.unlink, True),
    ('corrupt map', lambda path: path.write_bytes(b'no image'), True),
    ('corrupt map', cut, False),
]


@pytest.mark.parametrize('form', ['panoptic', 'semantic'])
@pytest.mark.parametrize('kind, spoil, in_header', MAP_FAULTS)
def test_a_fault_of_a_map(data, form, kind, spoil, in_header):
    path = data.panoptic_map(4) if form == 'panoptic' else data.class_map(4)
    spoil(path)
    for headers_only in (True, False):
        [split] = data.check(form, headers_only=headers_only, splits=('train',)).splits
        assert kinds(split) == ({kind: 1} if in_header or not headers_only else {})
        assert all(path.name in problem.text for problem in split.problems if problem.kind == kind)


def test_panoptic_maps_of_another_size_or_kind(data):
    path = data.panoptic_map(1)
    picture = Image.open(path)
    picture.save(path, format='JPEG')
    found = kinds(data.check('panoptic', headers_only=True).splits[0])
    assert found == {'lossy map': 1}
    Image.fromarray(np.pad(np.array(picture), ((0, 0), (0, 1), (0, 0)))).save(path)
    found = kinds(data.check('panoptic').splits[0])
    assert found == {'wrong size': 1}


SEMANTIC_FAULTS = [
    ('wrong size', grow, 'is 97 x 64, its image is 96 x 64', True),
    ('no class ids', lambda path: Image.open(path).convert('RGB').save(path), 'is of mode RGB', True),
    ('lossy map', lambda path: Image.open(path).save(path, format='JPEG', quality=100), 'is a JPEG file', True),
    ('all void', lambda path: Image.new('L', (96, 64), 255).save(path), 'has no pixel of a class', False),
    ('map without image', lambda path: shutil.copy(path, path.with_name('more.png')), 'more.png belongs to', True),
]


@pytest.mark.parametrize('kind, spoil, text, in_header', SEMANTIC_FAULTS)
def test_a_fault_of_a_class_id_map(data, kind, spoil, text, in_header):
    spoil(data.class_map(5))
    for headers_only in (True, False):
        [split] = data.check('semantic', headers_only=headers_only, splits=('train',)).splits
        found = kinds(split)
        if kind == 'lossy map':
            found.pop('unknown value', 0)  # what a JPEG file makes of class ids
        assert found == ({kind: 1} if in_header or not headers_only else {})
        assert all(text in problem.text for problem in split.problems if problem.kind == kind)


@pytest.mark.parametrize('palette', [False, True])
def test_values_without_a_meaning_are_named_and_counted(data, palette):
    data.paint(1, 77, 5)
    data.paint(2, 77, 30)
    data.paint(2, 200, 10)
    if palette:  # the indices count, not the colours
        for index in (1, 2):
            image = Image.open(data.class_map(index))
            image.putpalette([value // 3 for value in range(768)])
            image.save(data.class_map(index))
        assert Image.open(data.class_map(1)).mode == 'P'
    report = data.check('semantic')
    [split, _] = report.splits
    assert kinds(split) == {'unknown value': 2} and report.num_errors == 2
    texts = [problem.text for problem in split.problems if problem.kind == 'unknown value']
    assert texts[0].endswith('ignore_index: 77 (5 pixels)')
    assert texts[1].endswith('ignore_index: 77 (20 pixels), 200 (10 pixels)')
    assert split.unknown_values == {77: 25, 200: 10}


def test_16_bit_maps(data):
    for split in ('train', 'val'):
        for index in range(len(list((data.root / split).iterdir()))):
            path = data.class_map(index, split)
            values = np.array(Image.open(path)).astype(np.uint16)
            values[values == 255] = 65535
            Image.fromarray(values).save(path.with_suffix('.tif'))
            path.unlink()
    given = dict(seg_map_suffix='.tif', ignore_index=(0, 65535))
    report = data.check('semantic', **given)
    assert not kinds(report.splits[0]) and report.splits[0].images == {0: 8, 1: 8, 2: 8}
    path = data.class_map(0)
    values = np.array(Image.open(path))
    assert values.dtype == np.uint16
    values[0, :7] = 1000
    Image.fromarray(values).save(path)
    assert data.check('semantic', **given).splits[0].unknown_values == {1000: 7}


def test_classes_without_a_pixel(data):
    for path in (data.root / 'semantic_train').iterdir():
        values = np.array(Image.open(path))
        Image.fromarray(np.where(values == 9, 1, values)).save(path)
    [train, val] = data.check('semantic').splits
    assert [problem.text for problem in train.problems] == ["'car' never occurs"] and not val.problems
    assert not data.check('semantic', headers_only=True).splits[0].problems


def test_images_named_in_a_list(data):
    names = [data.image(index).name for index in range(3)]
    (data.root / 'list.txt').write_text('\n'.join([*names, 'nowhere.jpg', names[0]]))
    [split] = data.check('semantic', splits=('train',), ann_file='list.txt').splits
    assert kinds(split) == {'missing image': 1, 'missing map': 1, 'file listed twice': 1}
    content = dict(
        images=[dict(file_name=name) for name in names],
        categories=[dict(id=id_, name=name) for id_, name in ((1, 'sky'), (5, 'road'), (6, 'path'), (9, 'car'))],
    )
    (data.root / 'list.json').write_text(json.dumps(content))
    [split] = data.check('semantic', splits=('train',), ann_file='list.json', label_map=None).splits
    assert not kinds(split) and split.images == {0: 3, 1: 3, 2: 3, 3: 3}


@pytest.mark.parametrize('form', FORMS)
def test_every_copy_of_an_image_in_val_is_found(data, form):
    for index in (5, 6, 7):
        shutil.copy(data.image(0, 'val'), data.image(index))
    shutil.copy(data.image(0, 'val'), data.image(1, 'val'))
    [first, _] = (report := data.check(form)).splits
    found = {problem.image for problem in first.problems if problem.kind == 'in another split'}
    assert found == ({'000005', '000006', '000007'} if form == 'semantic' else {6, 7, 8})
    assert len(report.duplicates) == 4  # the second copy in val is named once


@pytest.mark.parametrize('form', FORMS)
def test_copies_in_val_are_found(data, form):
    shutil.copy(data.image(0, 'val'), data.image(6))
    picture = cv2.imread(str(data.image(1, 'val')))
    picture = np.clip(picture.astype(int) + 3, 0, 255).astype(np.uint8)
    cv2.imwrite(str(data.image(7)), picture)
    report = data.check(form)
    ids = ('000006', '000000', '000007', '000001') if form == 'semantic' else (7, 1, 8, 2)
    assert report.duplicates == [(ids[0], 'val', ids[1], True), (ids[2], 'val', ids[3], False)]
    assert report.num_errors == 1
    assert kinds(report.splits[0]) == {'in another split': 1, 'similar in another split': 1}
    texts = [problem.text for problem in report.splits[0].problems]
    assert all(text.endswith('of the val set') for text in texts)
