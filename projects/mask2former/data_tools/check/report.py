"""The result of a check: problems and statistics of each split."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .finding import SEGMENT, Finding
from .problem import Problem
from .source import Source


@dataclass
class SplitReport:
    """What is wrong in a split, and its statistics.

    A 'segment' of semantic data is a class in an image. After a check of headers ``measured`` and what follows from
    pixels is empty.

    Attributes:
        source (Source): The split.
        findings (dict[Any, Finding]): By image id.
        problems (list[Problem]): All of the annotation file and of the images.
        segments (Counter): Segments of each category id.
        images (Counter): Images in which each category id occurs.
        pixels (Counter): Pixels of each category id.
        crowds (int): Crowd segments.
        loads (dict[Any, int]): Image id to the segments that a training learns there.
        measured (np.ndarray): ``(N,)`` of the dtype ``SEGMENT``, of all images.
        voids (dict[Any, float]): Image id to the share of its pixels without a segment.
        unknown (Counter): Pixels of each value of class-id PNG files that has no meaning.
    """

    source: Source
    findings: dict[Any, Finding]
    problems: list[Problem] = field(default_factory=list)
    segments: Counter = field(default_factory=Counter)
    images: Counter = field(default_factory=Counter)
    pixels: Counter = field(default_factory=Counter)
    crowds: int = 0
    loads: dict[Any, int] = field(default_factory=dict)
    measured: np.ndarray = field(default_factory=lambda: np.zeros(0, SEGMENT))
    voids: dict[Any, float] = field(default_factory=dict)
    unknown: Counter = field(default_factory=Counter)

    @classmethod
    def of(cls, source: Source, found: Sequence[Finding]) -> 'SplitReport':
        """Put the findings of the images together, in the order of ``source.entries``."""
        split = cls(source, dict(zip(source.entries, found)), list(source.problems))
        ids = list(source.categories)
        for image_id, finding in split.findings.items():
            split.problems += finding.problems
            split.unknown.update(finding.unknown)
            if finding.void is not None:
                split.voids[image_id] = finding.void
                if finding.void == 1 and source.form != 'instance':
                    split.problems.append(
                        Problem(
                            'all void',
                            image_id,
                            f'{source.entries[image_id].path} has no pixel of a class: nothing is learnt from it',
                        )
                    )
            split.pixels.update(dict(_sums(finding, ids)))
            split._count(image_id, finding, ids)
        if split.findings:
            split.measured = np.concatenate([finding.segments for finding in found])
        split._judge()
        return split

    def _count(self, image_id: Any, finding: Finding, ids: list) -> None:
        if self.source.form == 'semantic':
            categories = [ids[place] for place in finding.segments['category']]
            if finding.void is not None:
                self.loads[image_id] = len(categories)
        else:
            segments = self.source.entries[image_id].segments
            categories = [segment.get('category_id') for segment in segments]
            categories = [category for category in categories if isinstance(category, (int, str))]
            self.crowds += sum(bool(segment.get('iscrowd')) for segment in segments)
            self.loads[image_id] = sum(self.source.learns(segment) for segment in segments)
        self.segments.update(categories)
        self.images.update(set(categories))

    def _judge(self) -> None:
        """Report what only the whole split shows."""
        source, queries = self.source, self.source.num_queries
        for image_id, load in sorted(self.loads.items(), key=lambda item: -item[1]):
            if queries is not None and load > queries:
                self.problems.append(
                    Problem(
                        'more segments than queries',
                        image_id,
                        f'{source.entries[image_id].path} has {load} segments, the '
                        f'model {queries} queries: raise model.head.num_queries, or crop',
                    )
                )
        # Without maps, or without annotations, as test sets may be, nothing says which classes there are.
        if not (self.voids if source.form == 'semantic' else 'annotations' in source.raw):
            return
        kind = 'class without pixel' if source.form == 'semantic' else 'class without segment'
        for category in source.categories:
            if category in source.learnt and not self.segments[category]:
                name = source.categories[category].get('name')
                self.problems.append(Problem(kind, None, f"'{name}' never occurs"))


@dataclass
class Report:
    """The reports of the splits; ``same`` has ``(train id, other split, its id, whether the files are equal)``."""

    splits: list[SplitReport]
    same: list[tuple[Any, str, Any, bool]] = field(default_factory=list)

    @property
    def num_errors(self) -> int:
        return sum(problem.is_error for split in self.splits for problem in split.problems)


def _sums(finding: Finding, ids: list) -> Counter:
    """Pixels of each known category id in an image."""
    sums = Counter()
    for place, area in zip(finding.segments['category'].tolist(), finding.segments['area'].tolist()):
        if place >= 0:
            sums[ids[place]] += area
    return sums
