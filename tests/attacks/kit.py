"""How an attack ends: what a user sees last."""

import re
from collections.abc import Callable
from typing import Any

from mmengine.dataset import BaseDataset

from mask2former.apis.cli import run_tool
from mask2former.data_tools.check import Settings, check_splits, read_split

FINE = 'fine'  # nothing is said, and the exit code is 0
LONGEST = 700  # characters of a sentence
ABSENT = ...  # a value that is not there; its name is the same in every process


def last_line(call: Callable[[], object]) -> str:
    """What a tool says last, ``FINE`` where it ends well. Any error that would be a traceback comes through."""

    def run() -> None:
        call()

    try:
        run_tool(run)
    except SystemExit as end:
        if end.code in (None, 0):
            return FINE
        assert isinstance(end.code, str), f'it ends with {end.code} and says nothing of it'
        assert len(end.code) <= LONGEST and '\n' not in end.code, f'more than a sentence: {end.code}'
        return end.code
    return FINE


def judge(dataset: Callable[..., BaseDataset], last: str) -> None:
    """Reading all of a data set for a training ends as ``last`` says; what it refuses, the data check finds, too.

    Args:
        dataset: Makes the data set, of ``lazy_init``.
        last: ``FINE``, or what the last line must match.
    """

    def read() -> None:
        whole = dataset(lazy_init=False)
        for index in range(len(whole)):
            whole.prepare_data(index)

    found = []

    def examine() -> None:
        source = read_split(dataset(lazy_init=True), Settings('train', num_queries=100))
        found.extend(p for split in check_splits([source], False, jobs=1).splits for p in split.problems if p.is_error)

    line = last_line(read)
    assert line == FINE if last == FINE else re.search(last, line), line
    said = last_line(examine)
    if line != FINE:
        assert '/' in line, f'no file is named: {line}'
        assert said != FINE or found, f'a training refuses it, and the data check finds nothing: {line}'


def change(content: Any, field: str, value: Any) -> None:
    """Set a field of nested tables and lists, its keys and numbers with dots between them, or take it out."""
    *parents, last = (int(key) if key.isdigit() else key for key in field.split('.'))
    for key in parents:
        content = content[key]
    if value is ABSENT:
        del content[last]
    else:
        content[last] = value
