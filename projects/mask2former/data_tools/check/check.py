"""Checks splits: the files of every image in parallel, classes and duplicates between the splits."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from .inspect import inspect
from .kinds import Problem
from .report import Duplicate, Report, SplitReport
from .source import Source

# Bits of 256 in which the hashes of two pictures may differ that look the same: those of one picture saved twice.
SAME_PICTURE = 8
# Hashes with fewer edges than this, in either direction, are of blank pictures, which all look the same.
MIN_EDGES = 24


def check_splits(
    sources: Sequence[Source], headers_only: bool, jobs: int, progress: Callable[[Sequence, str], Any] | None = None
) -> Report:
    """Check splits; those of the first one's split are compared with each of the others.

    Args:
        sources: The splits, that of the training first.
        headers_only: Only JSON files, presence and headers of the files: no pixel is read.
        jobs: Threads.
        progress: Wraps an iterable of known length; gets it and the name of the split.
    """
    report = Report()
    for source in sources:
        entries = list(source.entries.values())
        task = partial(inspect, source=source, headers_only=headers_only)
        # Threads: what takes the time (reading, decoding, counting) lets go of Python's lock, and none has to import.
        with ThreadPoolExecutor(jobs) as pool:
            steps = entries if progress is None else progress(entries, source.name)
            reports = [image_report for _, image_report in zip(steps, pool.map(task, entries))]
        differing = _compare_classes(sources[0], source)
        problems = source.problems if differing is None else (*source.problems, differing)
        report.splits.append(SplitReport.of(source, problems, reports))
    if not headers_only:
        name = sources[0].settings.split
        for other in report.splits:
            for split in report.splits:
                if split.source.settings.split == name != other.source.settings.split:
                    _compare_images(report, split, other)
    return report


def _compare_classes(first: Source, other: Source) -> Problem | None:
    """Say where the classes of ``other`` are not those of ``first``."""
    classes = [
        [(row.get('name'), bool(row.get('isthing'))) for id_, row in source.categories.items() if id_ in source.learnt]
        for source in (first, other)
    ]
    if classes[0] == classes[1]:
        if _ids_of(first) == _ids_of(other):
            return None
        text = f'{first.name} and {other.name} number the same classes differently'
        return Problem('category ids differ', None, text)
    index, pair = next(
        ((index, pair) for index, pair in enumerate(zip(*classes)) if pair[0] != pair[1]),
        (min(map(len, classes)), None),
    )
    difference = (
        'the counts differ'
        if pair is None
        else ' there and '.join(f"'{name}' ({'thing' if isthing else 'stuff'})" for name, isthing in pair) + ' here'
    )
    text = (
        f'{first.name} has {len(classes[0])} classes, {other.name} {len(classes[1])}; at index {index}: {difference}. '
        'Set the same metainfo=dict(classes=[...]) for both'
    )
    return Problem('classes differ', None, text)


def _ids_of(source: Source) -> dict[Any, Any]:
    """The class of each category id or pixel value."""
    if source.label_table is None:
        return {id_: row.get('name') for id_, row in source.categories.items()}
    known = np.flatnonzero(source.label_table >= 0)
    return dict(zip(known.tolist(), source.label_table[known].tolist()))


def _compare_images(report: Report, first: SplitReport, other: SplitReport) -> None:
    """Find images of ``first`` that are in ``other`` as well: equal files, and files that look the same."""
    files: dict[bytes, list] = {}
    for key, image in first.image_reports.items():
        if image.file_hash is not None:  # that of an image that could be read
            files.setdefault(image.file_hash, []).append(key)
    hashes = {key: image.picture_hash for key, image in first.image_reports.items() if image.picture_hash is not None}
    ids, pictures = list(hashes), np.array(list(hashes.values()), dtype=np.uint8).reshape(-1, 32)
    named: set[bytes] = set()
    for other_id, image in other.image_reports.items():
        same_file = image.file_hash in files
        if image.file_hash is not None and same_file:
            # All of them, as each is one to leave out; once, as a file may be there a hundred times in both splits.
            copies = files[image.file_hash]
            found = copies[:1] if image.file_hash in named else copies
            named.add(image.file_hash)
        elif ids and image.picture_hash is not None and _has_edges(image.picture_hash):
            differing = np.bitwise_count(pictures ^ image.picture_hash).sum(axis=1)  # (images of first,)
            if differing.min() > SAME_PICTURE:
                continue
            found = [ids[int(differing.argmin())]]
        else:
            continue
        name = other.source.name
        for first_id in found:
            report.duplicates.append(Duplicate(first_id, name, other_id, same_file))
            path, other_path = first.source.entries[first_id].path, other.source.entries[other_id].path
            text = f'{path} {"is" if same_file else "looks like"} {other_path} of the {name} set'
            first.problems.add('in another split' if same_file else 'similar in another split', first_id, text)


def _has_edges(picture_hash: np.ndarray) -> bool:
    return MIN_EDGES <= int(np.bitwise_count(picture_hash).sum()) <= 256 - MIN_EDGES
