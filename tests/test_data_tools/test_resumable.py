"""Conversion in parallel: order, going on after a stop, and refusal of another run's leftovers."""

import json
from pathlib import Path

import pytest

from mask2former.data_tools.resumable import convert_all, finish
from mask2former.errors import DataError


def square(value: int) -> int:
    if value < 0:
        raise DataError('a negative item')
    return value**2


def run(tmp_path: Path, items: dict, workers: int = 1, function=square, **settings) -> dict:
    return convert_all(
        function,
        items,
        journal=tmp_path / 'deep' / 'journal',
        settings=settings,
        num_workers=workers,
        description='squares',
    )


@pytest.mark.parametrize('workers', [1, 2])
def test_results_in_order(tmp_path, workers):
    items = {str(value): value for value in range(9, 0, -1)}
    assert list(run(tmp_path, items, workers).items()) == [(name, value**2) for name, value in items.items()]


def test_goes_on_where_it_stopped(tmp_path):
    with pytest.raises(DataError, match='negative'):
        run(tmp_path, {'a': 2, 'b': 3, 'c': -1})
    seen = []
    assert run(tmp_path, {'a': 2, 'b': 3, 'c': 4}, function=lambda value: seen.append(value) or square(value)) == {
        'a': 4,
        'b': 9,
        'c': 16,
    }
    assert seen == [4]


def test_a_line_that_was_cut_off_counts_for_nothing(tmp_path):
    run(tmp_path, {'a': 2, 'b': 3})
    journal = tmp_path / 'deep' / 'journal'
    journal.write_text(journal.read_text()[:-3])
    seen = []
    run(tmp_path, {'a': 2, 'b': 3}, function=lambda value: seen.append(value) or square(value))
    assert seen == [3]
    assert [json.loads(line) for line in journal.read_text().splitlines()] == [{}, ['a', 4], ['b', 9]]


def test_other_settings_are_refused(tmp_path):
    run(tmp_path, {'a': 2}, size=(1, 2))
    with pytest.raises(DataError, match='journal.*other settings.*delete'):
        run(tmp_path, {'a': 2}, size=(1, 3))
    finish(tmp_path / 'deep' / 'journal')
    run(tmp_path, {'a': 2}, size=(1, 3))


@pytest.mark.parametrize('workers', [1, 2])
def test_an_error_says_where(tmp_path, workers):
    with pytest.raises(RuntimeError, match="'wrong' could not be converted"):
        run(tmp_path, {'a': 2, 'wrong': '3'}, workers)
