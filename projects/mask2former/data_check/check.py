"""Checks splits: the JSON file, the files of every image in parallel, duplicates between the splits, statistics."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from .inspect_image import Finding, inspect
from .source import Problem, Source

# Bits of 256 in which two pictures may differ that look the same: those of one picture saved anew.
SAME_LOOK = 8
# Hashes with fewer edges than this, in either direction, are of blank pictures, which all look the same.
MIN_EDGES = 24


@dataclass
class SplitReport:
    """What is wrong in a split, and its statistics.

    Attributes:
        source (Source): The split.
        problems (list[Problem]): All of the JSON file and of the images.
        segments (Counter): Segments of each category id.
        pixels (Counter): Pixels of each category id; empty after a check of headers.
        crowds (int): Crowd segments.
        areas (list[int]): Pixels of each segment.
        voids (dict[Any, float]): Image id to the share of its pixels without a segment.
        findings (dict[Any, Finding]): By image id.
    """
    source: Source
    problems: list[Problem]
    segments: Counter = field(default_factory=Counter)
    pixels: Counter = field(default_factory=Counter)
    crowds: int = 0
    areas: list[int] = field(default_factory=list)
    voids: dict[Any, float] = field(default_factory=dict)
    findings: dict[Any, Finding] = field(default_factory=dict)


@dataclass
class Report:
    """The reports of the splits; ``same`` has ``(train id, other split, its id, whether the files are equal)``."""
    splits: list[SplitReport]
    same: list[tuple[Any, str, Any, bool]] = field(default_factory=list)

    @property
    def num_errors(self) -> int:
        return sum(problem.is_error for split in self.splits for problem in split.problems)


def check_splits(
    sources: Sequence[Source], headers_only: bool, jobs: int, progress: Callable[[Sequence, str], Any] | None = None,
) -> Report:
    """Check splits; the first one is compared with each of the others.

    Args:
        sources (Sequence[Source]): The splits, that of the training first.
        headers_only (bool): Only JSON files, presence and headers of the files: no pixel is read.
        jobs (int): Threads.
        progress (Callable, optional): Wraps an iterable of known length; gets it and the name of the split.
    """
    report = Report([])
    for source in sources:
        entries = list(source.entries.values())
        task = partial(inspect, headers_only=headers_only)
        # Threads: what takes the time (reading, decoding, counting) lets go of Python's lock, and none has to import.
        with ThreadPoolExecutor(jobs) as pool:
            steps = entries if progress is None else progress(entries, source.split)
            found = [finding for _, finding in zip(steps, pool.map(task, entries))]
        report.splits.append(_summarize(source, found))
    if not headers_only:
        for other in report.splits[1:]:
            _compare(report, report.splits[0], other)
    return report


def _summarize(source: Source, found: Sequence[Finding]) -> SplitReport:
    split = SplitReport(source, list(source.problems))
    for entry, finding in zip(source.entries.values(), found):
        image_id = entry.image['id']
        split.findings[image_id] = finding
        split.problems += finding.problems
        split.segments.update(segment.get('category_id') for segment in entry.segments)
        split.crowds += sum(bool(segment.get('iscrowd')) for segment in entry.segments)
        for category, area in finding.areas:
            split.pixels[category] += area
            split.areas.append(area)
        if finding.void is not None:
            split.voids[image_id] = finding.void
    for category, entry in source.categories.items():
        if not split.segments[category]:
            split.problems.append(Problem('class without segment', None, f"'{entry.get('name')}' never occurs"))
    return split


def _compare(report: Report, first: SplitReport, other: SplitReport) -> None:
    """Find images of ``first`` that are in ``other`` as well: equal files, and files that look the same."""
    files = {finding.digest: image_id for image_id, finding in first.findings.items() if finding.digest}
    ids = [image_id for image_id, finding in first.findings.items() if finding.look is not None]
    looks = np.array([first.findings[image_id].look for image_id in ids], dtype=np.uint8).reshape(-1, 32)
    for image_id, finding in other.findings.items():
        if finding.digest in files:
            _add_same(report, first, files[finding.digest], other, image_id, exact=True)
        elif finding.look is not None and len(ids) and MIN_EDGES <= int(
                np.bitwise_count(finding.look).sum()) <= 256 - MIN_EDGES:
            differing = np.bitwise_count(looks ^ finding.look).sum(axis=1)  # (images of first,)
            nearest = int(differing.argmin())
            if differing[nearest] <= SAME_LOOK:
                _add_same(report, first, ids[nearest], other, image_id, exact=False)


def _add_same(report: Report, first: SplitReport, first_id: Any, other: SplitReport, other_id: Any, *,
              exact: bool) -> None:
    report.same.append((first_id, other.source.split, other_id, exact))
    kind = 'in train and val' if exact else 'looks like one of val'
    first.problems.append(Problem(
        kind, first_id, f'{first.source.entries[first_id].path} {"is" if exact else "looks like"} '
        f'{other.source.entries[other_id].path} of the {other.source.split} set'))
