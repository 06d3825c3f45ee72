"""Conversion in parallel: order, resuming after a stop, and refusal of another run's leftovers."""

import json
from pathlib import Path

import pytest

from mask2former.data_tools.resumable import resumable
from mask2former.errors import DataError


def square(value: int) -> int:
    if value < 0:
        raise DataError('a negative item')
    return value**2


def run(tmp_path: Path, items: dict, workers: int = 1, function=square, killed=False, **settings) -> dict:
    with resumable(tmp_path / 'deep' / 'journal', workers, settings) as convert:
        results = convert(function, items, 'squares')
        if killed:
            raise KeyboardInterrupt
    return results


def seen_by(tmp_path: Path, items: dict) -> tuple[dict, list]:
    """The results, and the items that were not in the journal."""
    seen = []
    return run(tmp_path, items, function=lambda value: seen.append(value) or square(value)), seen


@pytest.mark.parametrize('workers', [1, 2])
def test_results_in_order(tmp_path, workers):
    items = {str(value): value for value in range(9, 0, -1)}
    assert list(run(tmp_path, items, workers).items()) == [(name, value**2) for name, value in items.items()]
    assert not list((tmp_path / 'deep').iterdir()), 'the journal is gone'


def test_resumes_where_it_stopped(tmp_path):
    with pytest.raises(DataError, match='negative'):
        run(tmp_path, {'a': 2, 'b': 3, 'c': -1})
    assert seen_by(tmp_path, {'a': 2, 'b': 3, 'c': 4}) == ({'a': 4, 'b': 9, 'c': 16}, [4])
    assert seen_by(tmp_path, {'a': 2}) == ({'a': 4}, [2]), 'a run that came to its end leaves nothing'


def test_a_line_that_was_cut_off_counts_for_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, {'a': 2, 'b': 3}, killed=True)
    journal = tmp_path / 'deep' / 'journal'
    assert [json.loads(line) for line in journal.read_text().splitlines()] == [{}, ['a', 4], ['b', 9]]
    journal.write_text(journal.read_text()[:-3])
    assert seen_by(tmp_path, {'a': 2, 'b': 3}) == ({'a': 4, 'b': 9}, [3])


def test_other_settings_are_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, {'a': 2}, killed=True, size=(1, 2))
    with pytest.raises(DataError, match='journal.*other settings.*delete it to begin again'):
        run(tmp_path, {'a': 2}, size=(1, 3))
    (tmp_path / 'deep' / 'journal').unlink()
    run(tmp_path, {'a': 2}, size=(1, 3))


@pytest.mark.parametrize('workers', [1, 2])
def test_an_error_says_where(tmp_path, workers):
    with pytest.raises(RuntimeError, match="'wrong' could not be converted"):
        run(tmp_path, {'a': 2, 'wrong': '3'}, workers)
