"""JSON files beside weights, lists of images and files of results: what is odd in them is one sentence."""

import json
import math
from typing import Any

import pytest

from mask2former.checkpoints import read_any
from mask2former.predictions.hf_folder import _preparation
from mask2former.predictions.shards import find_images, merge

from .kit import FINE, last_line

DEEP = '{"size": ' + '[' * 100_000
PREPARATIONS: list[Any] = [
    *(dict(size=size) for size in ('x', '', -1, 0, 1.5, math.nan, [1], [1, 2], 10**30)),
    *(dict(size=dict(height=size, width=9)) for size in (None, 'x', 0, 1.5, 10**9)),
    *(dict(size=size) for size in (dict(height=9), dict(shortest_edge='x'), dict(longest_edge=-1))),
    *(dict(size=9, max_size=size) for size in ('x', 0, 1.5)),
    *(dict(image_mean=mean) for mean in (1, 'xyz', [], [1, 2], [1, 2, None], [1, 2, {}], [1, 2, math.inf])),
    *(dict(image_std=std) for std in (1, [0, 1, 1], [-1, 1, 1], [math.nan, 1, 1])),
]
INDEXES: list[Any] = [None, 7, '', [1], {'a': None}, {'a': 7}, {'a': [1]}, {'a': 'x', 'b': {}}, {'a': '../x'}]
HEADERS = [
    '',
    '[',
    '[]',
    '{}',
    '{"images": "1", "shards": 1}',
    '{"images": 1, "shards": 1e9}',
    '{"images": 1, "shards": -1}',
]
LINES = ['[', '[]', '{}', '{"index": "0"}', '{"index": -1}', '{"index": 1e400}', '[' * 100_000]


@pytest.mark.parametrize('said', [*map(json.dumps, PREPARATIONS), DEEP, '\ud800'], ids=lambda said: said[:40])
def test_how_images_are_prepared(tmp_path, said):
    (tmp_path / 'preprocessor_config.json').write_text(said, encoding='utf-8', errors='surrogatepass')
    line = last_line(lambda: _preparation(tmp_path))
    assert line.startswith('Error: ') and 'preprocessor_config.json' in line


@pytest.mark.parametrize(
    'said', [dict(size=None, image_mean=None, image_std=None), dict(size=dict(shortest_edge=9)), {}]
)
def test_what_transformers_may_leave_out(tmp_path, said):
    (tmp_path / 'preprocessor_config.json').write_text(json.dumps(said))
    assert last_line(lambda: _preparation(tmp_path)) == FINE


@pytest.mark.parametrize(
    'places', [*(json.dumps(dict(weight_map=x)) for x in INDEXES), DEEP], ids=lambda said: said[:40]
)
def test_which_file_has_a_weight(tmp_path, places):
    (tmp_path / 'config.json').write_text('{}')
    (tmp_path / 'model.safetensors.index.json').write_text(places)
    line = last_line(lambda: read_any(str(tmp_path)))
    assert line.startswith('Error: ') and 'model.safetensors.index.json' in line


@pytest.mark.parametrize('content', [b'a.jpg\0\n', b'\0' * 100])
def test_lists_of_images(tmp_path, content):
    (tmp_path / 'list.txt').write_bytes(content)
    assert 'is no list of images' in last_line(lambda: find_images(tmp_path / 'list.txt', ('.jpg',)))


def test_a_name_that_is_no_utf8(tmp_path):
    (tmp_path / 'list.txt').write_bytes(b'\xff.jpg\n')
    assert find_images(tmp_path / 'list.txt', ('.jpg',))[1] == ['\udcff.jpg']


@pytest.mark.parametrize('header', HEADERS)
def test_the_first_line_of_results(tmp_path, header):
    (tmp_path / 'results-1-of-1.jsonl').write_text(header + '\n{"index": 0}\n')
    line = last_line(lambda: merge(tmp_path))
    assert line.startswith('Error: ') and 'results-1-of-1.jsonl' in line


@pytest.mark.parametrize('content', LINES, ids=lambda line: line[:20])
def test_a_line_of_results(tmp_path, content):
    (tmp_path / 'results-1-of-1.jsonl').write_text('{"images": 1, "shards": 1}\n' + content + '\n')
    line = last_line(lambda: merge(tmp_path))
    assert line.startswith('Error: ') and 'results-1-of-1.jsonl' in line


def test_many_shards_that_are_not_there(tmp_path):
    (tmp_path / 'results-1-of-1.jsonl').write_text('{"images": 1, "shards": 1000000000}\n{"index": 0}\n')
    assert 'lacks results-1-of-1000000000.jsonl' in last_line(lambda: merge(tmp_path))
