"""Annotation files with one value changed: the data set that a training reads, and the data check.

A file that is refused is refused in a sentence that names it or the image, and the data check finds an error in it.
What is read is read to the end: image, segments and all.
"""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope

from mask2former.data_tools.shapes import generate_shapes
from tests.test_data_tools.test_check.conftest import DataFolder

from .annotation_tables import TABLES
from .kit import ABSENT, FINE, judge

DEEP = '[' * 900 + ']' * 900


def segments_of(content: dict) -> list[dict]:
    return [s for annotation in content['annotations'] for s in annotation.get('segments_info', [annotation])]


def put(content: dict, where: str, key: str, value: Any) -> None:
    """Change one value of an annotation file."""
    if key == '':
        owner, key = content, where
    else:
        segment = segments_of(content)[0]
        of_segment = next(row for row in content['categories'] if row['id'] == segment['category_id'])
        owner = dict(segment=segment, categories=of_segment).get(where) or content[where][0]
    if value is ABSENT:
        owner.pop(key, None)
    else:
        owner[key] = value


def double(rows: list, **changes: Any) -> None:
    rows.append({**copy.deepcopy(rows[0]), **changes})


JSON = "^Error: Annotation file '.*json' is not valid JSON"
WHOLE = [  # name, what becomes of the text of the file, the last line
    ('empty', lambda text: b'', JSON),
    ('binary', lambda text: b'\xff\xfe\x00x', JSON),
    ('a page', lambda text: b'<html>not found</html>', JSON),
    ('cut off', lambda text: text[: len(text) // 2].encode(), JSON),
    ('byte order mark', lambda text: b'\xef\xbb\xbf' + text.encode(), JSON),
    ('UTF-16', lambda text: text.encode('utf-16'), JSON),
    ('100,000 brackets', lambda text: b'[' * 100_000, JSON),
    ('a number of 5000 digits', lambda text: b'{"images": ' + b'1' * 5000 + b'}', JSON),
    ('a list', lambda text: b'[]', 'holds a list, but a COCO file is an object'),
    ('null', lambda text: b'null', 'holds a NoneType, but'),
    ('NaN', lambda text: b'NaN', 'holds a float, but'),
]
WHOLE_SETS = [  # name, change, last line of panoptic and instance files
    ('all crowd', lambda c: [s.update(iscrowd=1) for s in segments_of(c)], ('^Error: No image of .*json',) * 2),
    ('all of area 0', lambda c: [s.update(area=0) for s in segments_of(c)], ('^Error: No image of .*json', FINE)),
    ('nested 900 deep', lambda c: segments_of(c)[0].update(more=json.loads(DEEP)), (FINE, FINE)),
    ('an image twice', lambda c: double(c['images']), ('Image id 1 occurs twice',) * 2),
    ('a file twice', lambda c: double(c['images'], id=99), (FINE, FINE)),
    (
        '300 stacked',
        lambda c: [double(c['annotations'], id=n) for n in range(900, 1200)],
        ('two annotations', 'lie over'),
    ),
    (
        'no image, of a tera of pixels',
        lambda c: c['images'][0].update(file_name='no.jpg', height=2**20, width=2**20),
        ("no.jpg' does not exist",) * 2,
    ),
]

CASES = [
    pytest.param(form, table.where, table.key, value, table.last[number] if refused else FINE, id=f'{form}-{name}')
    for number, form in enumerate(('panoptic', 'instance'))
    for table in TABLES
    for refused, values in ((True, table.refused), (False, table.sound))
    for value in values
    for name in [f'{table.where}-{table.key}-{"absent" if value is ABSENT else ascii(value)[:40]}']
]


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> DataFolder:
    """Two images, and what a reader needs of the configs' scope."""
    root = tmp_path_factory.mktemp('attacked')
    generate_shapes(root, num_train=1, num_val=1, size=(64, 96))
    init_default_scope('mask2former')
    return DataFolder(root)


@pytest.fixture
def attack(data):
    """Give the annotation file of a form other bytes; afterwards it is sound again."""
    sound = {}

    def write(form: str, content: bytes) -> None:
        path = data.root / 'annotations' / f'{"panoptic" if form == "panoptic" else "instances"}_train.json'
        sound.setdefault(path, path.read_bytes())
        path.write_bytes(content)

    def change(form: str, edit) -> None:
        path = data.root / 'annotations' / f'{"panoptic" if form == "panoptic" else "instances"}_train.json'
        content = json.loads(path.read_text())
        edit(content)
        write(form, json.dumps(content).encode())

    change.write = write
    yield change
    for path, content in sound.items():
        path.write_bytes(content)


def maker(data: DataFolder, form: str) -> Callable[..., BaseDataset]:
    """Makes the data set, with what a training does to each image."""
    load = dict(type='LoadPanopticSegments' if form == 'panoptic' else 'LoadInstanceSegments')
    pipeline = [dict(type='LoadImage'), load, dict(type='PackSegInputs')]

    # Serializing collects garbage.
    options = dict(filter_cfg=dict(filter_empty_gt=True), serialize_data=False, pipeline=pipeline)
    return lambda lazy_init: data.dataset(form, lazy_init=lazy_init, **options)


@pytest.mark.parametrize(('form', 'where', 'key', 'value', 'last'), CASES)
def test_a_value(data, attack, form, where, key, value, last):
    attack(form, lambda content: put(content, where, key, value))
    judge(maker(data, form), last)


@pytest.mark.parametrize('form', ['panoptic', 'instance'])
@pytest.mark.parametrize(('name', 'spoil', 'last'), WHOLE, ids=[name for name, *_ in WHOLE])
def test_a_file(data, attack, form, name, spoil, last):
    path = data.root / 'annotations' / f'{"panoptic" if form == "panoptic" else "instances"}_train.json'
    attack.write(form, spoil(path.read_text()))
    judge(maker(data, form), last)


@pytest.mark.parametrize('number', [0, 1], ids=['panoptic', 'instance'])
@pytest.mark.parametrize(('name', 'change', 'last'), WHOLE_SETS, ids=[name for name, *_ in WHOLE_SETS])
def test_a_set(data, attack, number, name, change, last):
    form = ('panoptic', 'instance')[number]
    attack(form, change)
    judge(maker(data, form), last[number])


def test_the_sound_file_is_sound(data):
    for form in ('panoptic', 'instance'):
        judge(maker(data, form), FINE)
