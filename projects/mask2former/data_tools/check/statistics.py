"""The statistics of a split in words."""

from collections.abc import Sequence

import numpy as np

from .report import SplitReport

QUANTILES = (1, 25, 50, 75, 99)


def facts_of(split: SplitReport) -> list[tuple[str, str]]:
    """Return the statistics of a split as (name, value); the name is the same in all splits."""
    source, measured = split.source, split.measured
    semantic = source.form == 'semantic'
    things = 'classes' if semantic else 'segments'
    facts = [('images', str(len(source.entries)))]
    facts += _size_facts(split)
    if not semantic:
        left_out = sum(count for category, count in split.segments.items() if category not in source.learnt)
        facts.append(
            (
                'segments',
                f'{sum(split.segments.values())} ({split.crowds} crowd'
                + (f', {left_out} of classes that are not learnt)' if left_out else ')'),
            )
        )
    if split.loads:
        loads = np.array(list(split.loads.values()))
        most = list(split.loads)[int(loads.argmax())]
        facts.append(
            (
                f'{things} an image: least, median, most',
                f'{loads.min()}, {np.median(loads):g}, {loads.max()} (image {most})',
            )
        )
        if source.num_queries is not None:
            facts.append(
                (
                    f'images with more {things} than queries',
                    f'{int((loads > source.num_queries).sum())} ({source.num_queries} queries)',
                )
            )
    if len(measured):
        names = ', '.join(f'{quantile} %' if quantile != 50 else 'median' for quantile in QUANTILES)
        for key, name in (('area', 'mask pixels'), ('width', 'box width'), ('height', 'box height')):
            values = np.percentile(measured[key], QUANTILES)
            facts.append((f'{name}: {names}', ', '.join(f'{value:.0f}' for value in values)))
        areas, pieces = measured['area'], measured['pieces']
        facts += [
            (
                'small (< 32²), medium, large (≥ 96²)',
                ', '.join(
                    _percent(part.mean())
                    for part in (areas < 32**2, (areas >= 32**2) & (areas < 96**2), areas >= 96**2)
                ),
            ),
            ('masks of several pieces', f'{_percent((pieces > 1).mean())} (at most {pieces.max()} pieces)'),
        ]
    if split.voids:
        shares = list(split.voids.values())
        facts.append(('void: mean, most', f'{_percent(np.mean(shares))}, {_percent(max(shares))}'))
    if source.form == 'instance' and split.voids:
        covered = sum(finding.covered for finding in split.findings.values())
        overlapped = sum(finding.overlapped for finding in split.findings.values())
        facts.append(('of the covered pixels in several instances', _percent(overlapped / max(1, covered))))
    if split.unknown:
        facts.append(
            (
                'values without a meaning',
                ', '.join(f'{value} ({count} pixels)' for value, count in split.unknown.most_common(8)),
            )
        )
    return facts


def _size_facts(split: SplitReport) -> list[tuple[str, str]]:
    sizes = [finding.size for finding in split.findings.values() if finding.size]
    if not sizes:
        return []
    sizes = np.array(sizes)  # (n, 2) of width, height
    facts = [
        (f'image {name}: least, median, most', _spread(sizes[:, axis])) for axis, name in enumerate(('width', 'height'))
    ]
    crop = split.source.crop_size
    if crop:
        count = int((sizes < np.array(crop)).any(axis=1).sum())
        facts.append(('smaller than the crop at a side', f'{count} ({crop[0]} x {crop[1]}, before any resizing)'))
    return facts


def _spread(values: Sequence[int]) -> str:
    return f'{np.min(values)}, {np.median(values):g}, {np.max(values)}'


def _percent(share: float) -> str:
    return f'{100 * share:.1f} %'


def classes_of(split: SplitReport) -> list[dict]:
    """The class histogram, most pixels first: ``name``, ``isthing``, ``segments``, ``images``, ``pixels``, ``share``.

    ``share`` is that of the pixels of all classes, None where no pixel was read.
    """
    total = sum(split.pixels.values())
    rows = [
        dict(
            name=str(row.get('name')),
            isthing=bool(row.get('isthing')),
            learnt=category in split.source.learnt,
            segments=split.segments[category],
            images=split.images[category],
            pixels=split.pixels[category],
            share=split.pixels[category] / total if total else None,
        )
        for category, row in split.source.categories.items()
    ]
    return sorted(rows, key=lambda row: (-row['pixels'], -row['segments']))
