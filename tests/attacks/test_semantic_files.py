"""Lists, JSON files and maps of semantic data, changed: the data set that a training reads, and the data check."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from mask2former.datasets import SemanticPngFormat

from .kit import FINE, judge

SIZE = (8, 12)
CATEGORIES = [dict(id=1, name='sky'), dict(id=5, name='road')]
NO_NAME = "in '.*json' has no 'file_name' that names a file; correct it"
NO_VALUE = "is no value of a pixel, .*; correct the ids of the categories in '.*json'"
NO_LIST = "'images' of '.*json' is a .*; write a list"
NO_ID = "needs an 'id' and a 'name'"
NO_IMAGE = 'has no image that ends with .jpg; check'
OUTSIDE = 'which is outside of the data set'
UNKNOWN = "Class-id PNG '.*' has the values .*, which no class has"
NO_TEXT = "list.txt' is no text file in UTF-8"
NAN, DIGITS = float('nan'), 10**400

JSON_CASES = [
    *(('images', value, NO_LIST) for value in (None, 7, 'x', {}, NAN)),
    *(('images', [value], NO_NAME) for value in (None, 7, 'x', [], {}, NAN)),
    *(('images', [dict(file_name=value)], NO_NAME) for value in (None, 7, '', ' ', ['a'], {}, 'a\0b')),
    *(('images', [dict(file_name=value)], OUTSIDE) for value in ('../../a.jpg', '/etc/passwd', 'http://a/b.jpg')),
    ('images', [dict(file_name='no.jpg')], "has no '.*no.png'; add it"),
    ('images', [], NO_IMAGE),
    *(('id', value, NO_VALUE) for value in (-1, -5, 65536, 2**31, 2**33, 10**12, 10**30, DIGITS, '1', 'x')),
    *(('id', value, NO_ID) for value in (None, 1.5, NAN, [1], {})),
    *(('id', value, "Two of the classes of '.*json' have one id") for value in (1, True)),
    *(('id', value, f'The value {value} is in ignore_index, but it is the class') for value in (0, 255)),
    ('id', 65535, FINE),
    *(('color', value, FINE) for value in ('red', 7, [1, 2], [NAN] * 3, [1, 2, 3])),
    *(('categories', value, "'categories'|^Error: Category ") for value in (None, [], {}, 7, 'x', [None], ['x'])),
]
MAPS = [  # name, values, format, last line
    ('fractions', np.ones(SIZE, np.float32), 'TIFF', 'has fractions for values'),
    ('NaN', np.full(SIZE, NAN, np.float32), 'TIFF', 'has fractions for values'),
    ('below 0', np.full(SIZE, -1, np.int32), 'TIFF', UNKNOWN),
    ('2 ** 31 - 1', np.full(SIZE, 2**31 - 1, np.int32), 'TIFF', UNKNOWN),
    ('-2 ** 31', np.full(SIZE, -(2**31), np.int32), 'TIFF', UNKNOWN),
    ('16 bits', np.full(SIZE, 5, np.uint16), 'PNG', FINE),
    ('of an unknown value', np.full(SIZE, 7, np.uint8), 'PNG', UNKNOWN),
    ('three channels', np.ones((*SIZE, 3), np.uint8), 'PNG', 'has 3 channels; it must have one'),
    ('another size', np.ones((8, 13), np.uint8), 'PNG', 'is 8 x 13 .* but the image .* is 8 x 12'),
    ('turned', np.ones(SIZE[::-1], np.uint8), 'PNG', 'is 12 x 8 .* but the image .* is 8 x 12'),
    ('bits', np.ones(SIZE, bool), 'PNG', FINE),
    ('all void', np.full(SIZE, 255, np.uint8), 'PNG', FINE),
]
LISTS = [
    ('latin-1', 'é.jpg\n'.encode('latin-1'), NO_TEXT),
    ('UTF-16', 'a.jpg\n'.encode('utf-16'), NO_TEXT),
    ('empty', b'', NO_IMAGE),
    ('a zero', b'a\0b\n', OUTSIDE),
    ('outside', b'../../a.jpg\n', OUTSIDE),
    ('absolute', b'/etc/passwd\n', OUTSIDE),
    ('200 letters', b'x' * 200, "has no '.*png'; add it"),
    ('byte order mark', b'\xef\xbb\xbfa.jpg\r\n', FINE),
]


@pytest.fixture
def folder(tmp_path) -> Path:
    """An image and its map."""
    init_default_scope('mask2former')
    for name in ('images', 'annotations'):
        (tmp_path / name).mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)).save(tmp_path / 'images' / 'a.jpg')
    Image.fromarray(np.full(SIZE, 5, np.uint8)).save(tmp_path / 'annotations' / 'a.png')
    return tmp_path


def maker(folder: Path, **options):
    pipeline = [dict(type=name) for name in ('LoadImage', 'LoadSemanticSegments', 'PackSegInputs')]
    given = dict(data_root=str(folder), pipeline=pipeline, ignore_index=(0, 255), **options)
    return lambda lazy_init: SemanticPngFormat(lazy_init=lazy_init, **given)


@pytest.mark.parametrize(
    ('key', 'value', 'last'), JSON_CASES, ids=lambda value: ascii(value)[:30] if value != FINE else ''
)
def test_a_value_of_a_json_file(folder, key, value, last):
    content = dict(categories=[*CATEGORIES, dict(id=9, name='car')], images=[dict(file_name='a.jpg')])
    if key in content:
        content[key] = value
    else:
        content['categories'][-1][key] = value
    (folder / 'set.json').write_text(json.dumps(content))
    judge(maker(folder, ann_file='set.json'), last)


@pytest.mark.parametrize(('name', 'values', 'kind', 'last'), MAPS, ids=[name for name, *_ in MAPS])
def test_a_map(folder, name, values, kind, last):
    Image.fromarray(values).save(folder / 'annotations' / 'a.png', format=kind)
    judge(maker(folder, label_map={1: 'sky', 5: 'road'}), last)


@pytest.mark.parametrize(('name', 'content', 'last'), LISTS, ids=[name for name, *_ in LISTS])
def test_a_list(folder, name, content, last):
    (folder / 'list.txt').write_bytes(content)
    judge(maker(folder, ann_file='list.txt', label_map={1: 'sky', 5: 'road'}), last)
