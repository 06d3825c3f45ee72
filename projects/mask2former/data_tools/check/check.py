"""Checks splits: the files of every image in parallel, classes and duplicates between the splits."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from .categories import compare_classes
from .inspect_image import inspect
from .problem import Problem
from .report import Report, SplitReport
from .source import Source

# Bits of 256 in which two pictures may differ that look the same: those of one picture saved anew.
SAME_LOOK = 8
# Hashes with fewer edges than this, in either direction, are of blank pictures, which all look the same.
MIN_EDGES = 24


def check_splits(
    sources: Sequence[Source], headers_only: bool, jobs: int, progress: Callable[[Sequence, str], Any] | None = None
) -> Report:
    """Check splits; those of the first one's split are compared with each of the others.

    Args:
        sources (Sequence[Source]): The splits, that of the training first. Gets the problems of their classes.
        headers_only (bool): Only JSON files, presence and headers of the files: no pixel is read.
        jobs (int): Threads.
        progress (Callable, optional): Wraps an iterable of known length; gets it and the name of the split.
    """
    for other in sources[1:]:
        compare_classes(sources[0], other)
    report = Report([])
    for source in sources:
        entries = list(source.entries.values())
        task = partial(inspect, source=source, headers_only=headers_only)
        # Threads: what takes the time (reading, decoding, counting) lets go of Python's lock, and none has to import.
        with ThreadPoolExecutor(jobs) as pool:
            steps = entries if progress is None else progress(entries, source.name)
            found = [finding for _, finding in zip(steps, pool.map(task, entries))]
        report.splits.append(SplitReport.of(source, found))
    if not headers_only:
        first = [split for split in report.splits if split.source.split == sources[0].split]
        for other in report.splits:
            for split in first if other.source.split != sources[0].split else ():
                _compare(report, split, other)
    return report


def _compare(report: Report, first: SplitReport, other: SplitReport) -> None:
    """Find images of ``first`` that are in ``other`` as well: equal files, and files that look the same."""
    files = {finding.digest: image_id for image_id, finding in first.findings.items() if finding.digest}
    ids = [image_id for image_id, finding in first.findings.items() if finding.look is not None]
    looks = np.array([first.findings[image_id].look for image_id in ids], dtype=np.uint8).reshape(-1, 32)
    for image_id, finding in other.findings.items():
        if finding.digest in files:
            _add_same(report, first, files[finding.digest], other, image_id, exact=True)
        elif (
            finding.look is not None
            and len(ids)
            and MIN_EDGES <= int(np.bitwise_count(finding.look).sum()) <= 256 - MIN_EDGES
        ):
            differing = np.bitwise_count(looks ^ finding.look).sum(axis=1)  # (images of first,)
            nearest = int(differing.argmin())
            if differing[nearest] <= SAME_LOOK:
                _add_same(report, first, ids[nearest], other, image_id, exact=False)


def _add_same(
    report: Report, first: SplitReport, first_id: Any, other: SplitReport, other_id: Any, *, exact: bool
) -> None:
    report.same.append((first_id, other.source.name, other_id, exact))
    kind = 'in train and val' if exact else 'looks like one of val'
    first.problems.append(
        Problem(
            kind,
            first_id,
            f'{first.source.entries[first_id].path} {"is" if exact else "looks like"} '
            f'{other.source.entries[other_id].path} of the {other.source.name} set',
        )
    )
