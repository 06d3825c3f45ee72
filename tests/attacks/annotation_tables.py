"""Values that attack an annotation file, and what a training then says: the table of test_annotations.py."""

from typing import NamedTuple

from .kit import ABSENT, FINE

NAN, INF, HUGE, DIGITS = float('nan'), float('inf'), 10**30, 10**400
ZIGZAG = [x % 97 * 10000.0 for x in range(20000)]  # pycocotools would ask for 100 GB, and write where there are none
SIZE = [64, 96]
FULL = 64 * 96


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
OUTSIDE = "^Error: '.*json' names the file '.*', which is outside of the data set's folder"
NUMBERS = [None, 'yes', '', -1, 0, 1.5, NAN, INF, HUGE]
ODD = [*NUMBERS, [1], {}]

TABLES = [
    Table('images', 'file_name', (NAME,) * 2, [None, 7, '', ['a'], {}, 'a\0b']),
    Table(
        'images',
        'file_name',
        ("does not exist; check data_root and data_prefix\\['img'\\]",) * 2,
        ['no.jpg', '../no.jpg'],
    ),
    Table(
        'images',
        'file_name',
        (OUTSIDE,) * 2,
        ['../../x.jpg', '/etc/passwd', '/', 'file:///etc/passwd', 'http://a/b.jpg'],
    ),
    Table('images', 'file_name', ('^Error: Image file .* cannot be decoded',) * 2, ['x' * 300, '.']),
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
    Table('annotations', 'file_name', (OUTSIDE, FINE), ['../../../x.png', '/etc/passwd', 'http://a/b.png']),
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
    Table(
        'segment',
        'area',
        (FINE,) * 2,
        sound=[None, 'yes', -1, 0, 0.0, False, 1.5, NAN, INF, HUGE, DIGITS, [1], {}, ABSENT],
    ),
    Table(
        'segment',
        'bbox',
        (FINE,) * 2,
        sound=[None, 'x', [1], [NAN] * 4, [HUGE] * 4, [DIGITS] * 4, [0, 0, -1, 5], [0, 0, 0, 0], {}, ABSENT],
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
            [ZIGZAG],
            [[DIGITS] * 6],
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
    Table(
        'categories',
        'color',
        (FINE,) * 2,
        sound=[
            None,
            'red',
            '#ff0000',
            7,
            [1, 2],
            [300, -1, 5],
            ['a'] * 3,
            [None] * 3,
            [NAN] * 3,
            [INF] * 3,
            {},
            [1, 2, 3],
        ],
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
