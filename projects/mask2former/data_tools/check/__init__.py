"""Looks for what is wrong in a data set before a training finds out; ``tools/misc/check_dataset.py`` is its command.

The data's way: ``read`` (``read_coco``, ``read_semantic``) makes a :class:`Source` of what config and files say;
``inspect`` (``inspect_coco``, ``measure``) opens the files of one image, ``check`` does so for whole splits and
compares them; ``report`` and ``statistics`` sum up, ``terminal`` and ``html`` show it, ``repair`` writes a clean copy.
``kinds`` has everything that can be wrong.
"""

from .check import check_splits
from .kinds import KINDS, Kind, Problem
from .read import read_split, read_splits
from .repair import write_clean_copy
from .report import ImageReport, Report, SplitReport
from .source import Settings, Source

__all__ = [
    'KINDS',
    'ImageReport',
    'Kind',
    'Problem',
    'Report',
    'Settings',
    'Source',
    'SplitReport',
    'check_splits',
    'read_split',
    'read_splits',
    'write_clean_copy',
]
