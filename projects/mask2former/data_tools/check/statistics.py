"""The statistics of a split in words."""

import operator
from collections import Counter
from functools import reduce
from typing import NamedTuple

import numpy as np

from .kinds import KINDS, printable
from .report import SplitReport

QUANTILES = {1: '1 %', 25: '25 %', 50: 'median', 75: '75 %', 99: '99 %'}


def facts_of(split: SplitReport) -> dict[str, str]:
    """The statistics of a split; the names are the same in all splits."""
    source, queries, crop = split.source, split.source.settings.num_queries, split.source.settings.crop_size
    semantic = source.form == 'semantic'
    parts = 'classes' if semantic else 'segments'
    facts = {} if source.num_videos is None else {'videos': str(source.num_videos)}
    facts[f'{source.unit}s'] = str(len(source.entries))
    sizes = np.array([image.size for image in split.image_reports.values() if image.size])  # (n, 2) of width, height
    if len(sizes):
        for name, sides in zip(('width', 'height'), sizes.T):
            facts[f'{source.unit} {name}: least, median, most'] = f'{sides.min()}, {np.median(sides):g}, {sides.max()}'
        if crop:
            smaller = int((sizes < np.array(crop)).any(axis=1).sum())
            facts['smaller than the crop at a side'] = f'{smaller} ({crop[0]} x {crop[1]}, before any resizing)'
    facts.update(_facts_of_bands(split))
    if not semantic:
        facts['segments'] = f'{sum(split.segments.values())} ({split.num_crowds} crowd)'
        if split.num_left_out:
            facts['of classes that metainfo leaves out'] = f'{split.num_left_out} segments, which count as void'
    if split.num_learnt:
        counts = np.array(list(split.num_learnt.values()))
        fullest = list(split.num_learnt)[int(counts.argmax())]
        spread = f'{counts.min()}, {np.median(counts):g}, {counts.max()}'
        each = f'an {source.unit}' if source.num_videos is None else f'a {source.unit}'
        facts[f'{parts} {each}: least, median, most'] = f'{spread} ({source.unit} {fullest})'
        if queries is not None:
            facts[f'{source.unit}s with more {parts} than queries'] = (
                f'{int((counts > queries).sum())} ({queries} queries)'
            )
    if len(split.measured):
        for key, name in (('area', 'mask pixels'), ('width', 'box width'), ('height', 'box height')):
            values = np.percentile(split.measured[key], list(QUANTILES))
            facts[f'{name}: {", ".join(QUANTILES.values())}'] = ', '.join(f'{value:.0f}' for value in values)
        areas, pieces = split.measured['area'], split.measured['pieces']
        groups = (areas < 32**2, (areas >= 32**2) & (areas < 96**2), areas >= 96**2)
        facts['small (< 32²), medium, large (≥ 96²)'] = ', '.join(_percent(group.mean()) for group in groups)
        facts['masks of several pieces'] = f'{_percent((pieces > 1).mean())} (at most {pieces.max()} pieces)'
    if split.void_shares:
        shares = np.array(list(split.void_shares.values()))
        facts['void: mean, most'] = f'{_percent(shares.mean())}, {_percent(shares.max())}'
        if source.form == 'instance':
            covered = sum(image.covered for image in split.image_reports.values())
            overlapped = sum(image.overlapped for image in split.image_reports.values())
            facts['of the covered pixels in several instances'] = _percent(overlapped / max(1, covered))
    if split.unknown_values:
        most_common = split.unknown_values.most_common(8)
        facts['values without a meaning'] = ', '.join(f'{value} ({count} pixels)' for value, count in most_common)
    return facts


def _facts_of_bands(split: SplitReport) -> dict[str, str]:
    """Type, mean and deviation of images of N bands, as ``model.data_preprocessor`` takes them."""
    types = Counter(image.dtype for image in split.image_reports.values() if image.dtype is not None)
    facts = {'type of the values': ', '.join(str(name) for name, _ in types.most_common())} if types else {}
    moments = [image.moments for image in split.image_reports.values() if image.moments is not None]
    if moments:
        whole = reduce(operator.add, moments)
        for name, values in (('mean', whole.mean), ('std', whole.std)):
            facts[f'{name} of the {len(values)} bands'] = ', '.join(f'{value:.6g}' for value in values)
    return facts


def _percent(share: float) -> str:
    return f'{100 * share:.1f} %'


def classes_of(split: SplitReport) -> list[dict]:
    """The class histogram, most pixels first: ``name``, ``isthing``, ``segments``, ``images`` (of
    videos ``frames``), ``pixels``, ``share``.

    Classes that ``metainfo`` leaves out have none. ``share`` is that of the pixels of all classes, None where no pixel
    was read.
    """
    total = sum(split.pixels.values())
    rows = [
        dict(
            name=str(row.get('name')),
            isthing=bool(row.get('isthing')),
            segments=split.segments[category],
            **{f'{split.source.unit}s': split.images[category]},
            pixels=split.pixels[category],
            share=split.pixels[category] / total if total else None,
        )
        for category, row in split.source.categories.items()
        if category in split.source.learnt
    ]
    return sorted(rows, key=lambda row: (-row['pixels'], -row['segments']))


def counts_of(split: SplitReport) -> list[str]:
    """What is counted of each class; an image has a class of semantic data once, so that two counts would be one."""
    units = f'{split.source.unit}s'
    return [units] if split.source.form == 'semantic' else ['segments', units]


class KindCount(NamedTuple):
    """How often a kind of problem occurs in a split."""

    kind: str
    is_error: bool
    total: int
    examples: list[str]


def problems_by_kind(split: SplitReport, examples: int) -> list[KindCount]:
    """Count the problems of each kind, errors first, with the texts of up to so many ``examples``."""
    counts = Counter(problem.kind for problem in split.problems)
    texts: dict[str, list[str]] = {kind: [] for kind in counts}
    for problem in split.problems:
        if len(texts[problem.kind]) < examples:
            image = '' if problem.image is None else f'{split.source.unit} {problem.image}: '
            texts[problem.kind].append(printable(image + problem.text))
    rows = [KindCount(kind, KINDS[kind].error, total, texts[kind]) for kind, total in counts.items()]
    return sorted(rows, key=lambda row: (not row.is_error, -row.total))
