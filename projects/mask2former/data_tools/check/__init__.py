"""Looks for what is wrong in a data set before a training finds out; ``tools/misc/check_dataset.py`` is its command."""

from .check import check_splits
from .load import read_split, read_splits
from .problem import Problem
from .repair import write_clean_copy
from .report import Report, SplitReport
from .source import Source

__all__ = [
    'Problem',
    'Report',
    'Source',
    'SplitReport',
    'check_splits',
    'read_split',
    'read_splits',
    'write_clean_copy',
]
