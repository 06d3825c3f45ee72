"""Annotation files with one value changed: the data set that a training reads, and the data check.

A file that is refused is refused in a sentence that names it or the image, and the data check finds a fault in it. What
is read is read to the end: image, segments and all.
"""

import copy
import json
import re
from typing import Any, NamedTuple

import pytest
from mmengine.registry import init_default_scope

from mask2former.data_tools.check import Settings, check_splits, read_split
from mask2former.data_tools.shapes import generate_shapes
from tests.test_data_tools.test_check.conftest import DataFolder

from .kit import FINE, last_line

NAN, INF, HUGE = float('nan'), float('inf'), 10**30
SIZE = [64, 96]
FULL = 64 * 96
DEEP = '[' * 900 + ']' * 900


class Table(NamedTuple):
    """Values of a key.

    Attributes:
        where: The list of the file whose first entry has the key; 'segment' is the first segment or instance.
        key: The key; '' for the list itself.
        last: What the refusal of panoptic and of instance files must match; FINE where all values are read.
        refused: Values that are not to be read.
        sound: Values that are.
    """

    where: str
    key: str
    last: tuple[str, str]
    refused: list = []
    sound: list = []


ABSENT = object()
NO_IMAGE = "in '.*json' has image_id .*, which no entry of 'images' has; add the image"
MALFORMED = "^Error: An entry of '.*_train.json' is malformed .*; correct it: "
NO_CATEGORY = "in '.*json' has a segment with category_id .*, which no entry of 'categories' has; add"
CATEGORY = "^Error: Category .* in '.*json' needs an 'id' and a 'name', a number and a text"
NO_LIST = "has no 'categories'; add a list of dict|'categories' of '.*json' is a "
NO_SEGMENTATION = "^Error: Annotation .* of image 1 in '.*json' has no 'segmentation'; add"
NO_MASK = 'that is neither polygons .*; correct it|^Error: The RLE of an instance is '
CROWD = "^Error: 'iscrowd' of .* of image 1 in '.*json' is .*; write 1 or 0"
PIXELS = "of image 1 in '.*json' is .*; write a number of pixels"
NAME = "of image 1 in '.*json' is .*; write the name of a file"
NUMBERS = [None, 'yes', '', -1, 0, 1.5, NAN, INF, HUGE]
ODD = [*NUMBERS, [1], {}]

TABLES = [
    Table('images', 'file_name', (NAME,) * 2, [None, 7, '', ['a'], {}, 'a\0b']),
    Table(
        'images',
        'file_name',
        ("does not exist; check data_root and data_prefix\\['img'\\]",) * 2,
        ['no.jpg', '../../x.jpg'],
    ),
    Table('images', 'file_name', ('^Error: Image file .* cannot be decoded',) * 2, ['/etc/passwd', 'x' * 300, '.']),
    Table('images', 'file_name', ("has no 'file_name'; add it",) * 2, [ABSENT]),
    Table('images', 'id', (NO_IMAGE,) * 2, NUMBERS, [1]),
    Table('images', 'id', (MALFORMED,) * 2, [[1], {}]),
    Table('images', 'id', ("has no 'id'; add it",) * 2, [ABSENT]),
    Table('images', 'height', (PIXELS,) * 2, [*ODD, True], [64]),
    Table('images', 'width', (PIXELS,) * 2, [*ODD, True], [96]),
    Table('images', 'height', (FINE, '^Error: The size in the annotation file is '), [1, 65, 2**20]),
    Table('images', 'height', ("has no 'height'; add it",) * 2, [ABSENT]),
    Table('images', 'width', ("has no 'width'; add it",) * 2, [ABSENT]),
    Table('annotations', 'image_id', (NO_IMAGE,) * 2, [*NUMBERS, ABSENT]),
    Table('annotations', 'image_id', (MALFORMED,) * 2, [[1], {}]),
    Table(
        'annotations',
        'file_name',
        ("'file_name' of the annotation of image 1 .*; write the name of a PNG", FINE),
        [None, 7, ''],
    ),
    Table(
        'annotations',
        'file_name',
        ('^Error: Panoptic PNG .*(does not exist|cannot be read)', FINE),
        ['../../x.png', '/etc/passwd'],
    ),
    Table('annotations', 'segments_info', (MALFORMED, 'is a panoptic file'), [None, 7, 'x', [None], [3], [[]]]),
    Table(
        'segment',
        'id',
        ("'id' of a segment .*; write a number from 1 to 16777215", FINE),
        ['yes', -1, 1.5, NAN, INF, HUGE, None, ''],
    ),
    Table('segment', 'id', ('has a segment whose id is .*; ids must be over 0', FINE), [0, ABSENT]),
    Table('segment', 'id', (MALFORMED, FINE), [[1], {}]),
    Table('segment', 'category_id', (NO_CATEGORY,) * 2, [*NUMBERS, ABSENT]),
    Table('segment', 'category_id', (MALFORMED,) * 2, [[1], {}]),
    Table(
        'segment',
        'iscrowd',
        (CROWD,) * 2,
        [None, 'yes', '1', '', -1, 2, 1.5, NAN, INF, HUGE, [1], {}],
        [0, 1, True, ABSENT],
    ),
    Table('segment', 'area', (FINE,) * 2, sound=[None, 'yes', -1, 1.5, NAN, INF, HUGE, [1], {}, ABSENT]),
    Table(
        'segment',
        'bbox',
        (FINE,) * 2,
        sound=[None, 'x', [1], [NAN] * 4, [HUGE] * 4, [0, 0, -1, 5], [0, 0, 0, 0], {}, ABSENT],
    ),
    Table('segment', 'segmentation', (FINE, NO_SEGMENTATION), [None, '', [], {}]),
    Table(
        'segment',
        'segmentation',
        (FINE, NO_MASK),
        [
            7,
            'x',
            [None],
            [[None] * 6],
            [['a'] * 6],
            [[NAN] * 6],
            [[INF] * 6],
            [[1e9, 1, 2, 2, 3, 3]],
            [[-1e9] * 6],
            dict(size=SIZE),
            dict(counts=[FULL]),
            dict(counts=[1], size=SIZE),
            dict(counts=[2 * FULL], size=SIZE),
            dict(counts=[-5, FULL + 5], size=SIZE),
            dict(counts=[1.5, FULL - 1.5], size=SIZE),
            dict(counts=['a'], size=SIZE),
            dict(counts=[HUGE], size=SIZE),
            dict(counts='', size=SIZE),
            dict(counts='zz', size=SIZE),
            dict(counts='é', size=SIZE),
            dict(counts=None, size=SIZE),
            dict(counts=7, size=SIZE),
            dict(counts=[10, FULL - 10], size=SIZE[::-1]),
            dict(counts=[10], size=[10**9, 10**9]),
            dict(counts=[FULL], size=None),
            dict(counts=[FULL], size='64x96'),
            dict(counts=[FULL], size=[64]),
        ],
        [[[]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5]], [[0, 0, 9, 0, 9, 9]], [[-50, -50, 500, -50, 500, 500]]],
    ),
    Table('categories', 'id', (NO_CATEGORY,) * 2, ['yes', '', -1, 0, HUGE]),
    Table('categories', 'id', (CATEGORY,) * 2, [None, 1.5, NAN, INF, [1], {}, ABSENT]),
    Table(
        'categories',
        'name',
        (CATEGORY,) * 2,
        [None, 7, ['a'], {}, ABSENT],
        ['', 'a\nb', 'x' * 5000, '<script>', '\x1b[31m'],
    ),
    Table('categories', 'isthing', ("has 'isthing' .*; write 1 or 0",) * 2, [2, 'no', [], -1, NAN]),
    Table('categories', 'isthing', ("has no 'isthing'; add", FINE), [None, ABSENT]),
    Table(
        'images',
        '',
        (f"{MALFORMED}|{NO_IMAGE}|has no '(id|images)'; (add|give)",) * 2,
        [None, [], {}, 'x', 7, [None], [[]], ['x'], ABSENT],
    ),
    Table(
        'annotations',
        '',
        (f"{MALFORMED}|^Error: No image of '.*json' has a segment|has no 'annotations'; give",) * 2,
        [None, [], {}, 'x', 7, [None], [[]], ['x'], ABSENT],
    ),
    Table('categories', '', (f'{NO_LIST}|{CATEGORY}',) * 2, [None, [], {}, 'x', 7, [None], [[]], ['x'], ABSENT]),
]


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


def read(data: DataFolder, form: str) -> str:
    """How reading all of it for a training ends."""
    load = dict(type='LoadPanopticSegments' if form == 'panoptic' else 'LoadInstanceSegments')
    pipeline = [dict(type='LoadImage'), load, dict(type='PackSegInputs')]

    def run() -> None:
        options = dict(filter_cfg=dict(filter_empty_gt=True), serialize_data=False)  # serializing collects garbage
        dataset = data.dataset(form, lazy_init=False, pipeline=pipeline, **options)
        for index in range(len(dataset)):
            dataset.prepare_data(index)

    return last_line(run)


def examined(data: DataFolder, form: str) -> tuple[str, int]:
    """How the data check ends, and how many faults it finds."""
    found = []

    def run() -> None:
        source = read_split(data.dataset(form, 'train'), Settings('train', num_queries=100))
        found.extend(problem for split in check_splits([source], False, jobs=1).splits for problem in split.problems)

    return last_line(run), len(found)


def judge(data: DataFolder, form: str, last: str) -> None:
    line = read(data, form)
    assert line == FINE if last == FINE else re.search(last, line), line
    said, faults = examined(data, form)
    assert said == FINE or said.startswith('Error: ')
    if line != FINE:
        assert '.json' in line or '/' in line, f'no file is named: {line}'
        assert said != FINE or faults, f'a training refuses it, and the data check finds nothing: {line}'


@pytest.mark.parametrize(('form', 'where', 'key', 'value', 'last'), CASES)
def test_a_value(data, attack, form, where, key, value, last):
    attack(form, lambda content: put(content, where, key, value))
    judge(data, form, last)


@pytest.mark.parametrize('form', ['panoptic', 'instance'])
@pytest.mark.parametrize(('name', 'spoil', 'last'), WHOLE, ids=[name for name, *_ in WHOLE])
def test_a_file(data, attack, form, name, spoil, last):
    path = data.root / 'annotations' / f'{"panoptic" if form == "panoptic" else "instances"}_train.json'
    attack.write(form, spoil(path.read_text()))
    judge(data, form, last)


@pytest.mark.parametrize('number', [0, 1], ids=['panoptic', 'instance'])
@pytest.mark.parametrize(('name', 'change', 'last'), WHOLE_SETS, ids=[name for name, *_ in WHOLE_SETS])
def test_a_set(data, attack, number, name, change, last):
    form = ('panoptic', 'instance')[number]
    attack(form, change)
    judge(data, form, last[number])


def test_the_sound_file_is_sound(data):
    for form in ('panoptic', 'instance'):
        assert read(data, form) == FINE and examined(data, form)[0] == FINE
