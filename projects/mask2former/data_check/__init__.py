"""Looks for what is wrong in a data set before a training finds out; ``tools/misc/check_dataset.py`` is its command."""

from .check import Report, SplitReport, check_splits
from .repair import write_clean_copy
from .source import Problem, Source

__all__ = ['Problem', 'Report', 'Source', 'SplitReport', 'check_splits', 'write_clean_copy']
