"""The result of a check: problems and statistics of images, splits and all together."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from mask2former.datasets.segment_table import SegmentTable, TableBuilder
from mask2former.limits.sentences import limit_sentences

from .kinds import Problem, Problems
from .measure import SEGMENT
from .moments import Moments
from .source import Source, is_id


def size_text(size: tuple[int, int]) -> str:
    """A size in words."""
    return f'{size[0]} x {size[1]}'


@dataclass
class ImageReport:
    """What was found in one image.

    Attributes:
        problems: Faults.
        size: (width, height) of the image as the pipeline loads it, None if it cannot be opened.
        segments: ``(N,)`` of the dtype ``SEGMENT``, those that have pixels.
        void_share: Share of the pixels that belong to no segment, None if no pixel was read.
        covered: Pixels in one instance or more, crowd left out; of instance data only.
        overlapped: Pixels in two instances or more, crowd left out; of instance data only.
        unknown_values: Pixels of each value of a class-id PNG that has no meaning.
        file_hash: Of the content of the image file.
        picture_hash: ``(32,)`` uint8, a perceptual hash of 256 bits.
        dtype: Of images of N bands the type of the values.
        moments: Of images of N bands what mean and deviation of each follow from.
    """

    problems: Problems = field(default_factory=Problems)
    size: tuple[int, int] | None = None
    segments: np.ndarray = field(default_factory=lambda: np.zeros(0, SEGMENT))
    void_share: float | None = None
    covered: int = 0
    overlapped: int = 0
    unknown_values: Counter = field(default_factory=Counter)
    file_hash: bytes | None = None
    picture_hash: np.ndarray | None = None
    dtype: str | None = None
    moments: Moments | None = None


@dataclass
class SplitReport:
    """What is wrong in a split, and its statistics.

    A 'segment' of semantic data is a class in an image. After a check of headers ``measured`` and what follows from
    pixels is empty.

    Attributes:
        source: The split.
        image_reports: By image id.
        problems: All of the annotation file and of the images.
        segments: Segments of each category id. All statistics are of the categories that the data set learns.
        images: Images in which each category id occurs.
        pixels: Pixels of each category id.
        num_crowds: Crowd segments.
        num_left_out: Segments of categories that the data set does not learn.
        num_learnt: Image id to the number of segments that a training learns there.
        measured: ``(N,)`` of the dtype ``SEGMENT``, of all images.
        void_shares: Image id to the share of its pixels without a segment.
        unknown_values: Pixels of each value of class-id PNG files that has no meaning.
    """

    source: Source
    image_reports: dict[Any, ImageReport]
    problems: Problems
    segments: Counter = field(default_factory=Counter)
    images: Counter = field(default_factory=Counter)
    pixels: Counter = field(default_factory=Counter)
    num_crowds: int = 0
    num_left_out: int = 0
    num_learnt: dict[Any, int] = field(default_factory=dict)
    measured: np.ndarray = field(default_factory=lambda: np.zeros(0, SEGMENT))
    void_shares: dict[Any, float] = field(default_factory=dict)
    unknown_values: Counter = field(default_factory=Counter)

    @classmethod
    def of(cls, source: Source, problems: Iterable[Problem], reports: Sequence[ImageReport]) -> 'SplitReport':
        """Put the reports of the images together.

        Args:
            source: The split.
            problems: Those of its annotation file and classes.
            reports: In the order of ``source.entries``.
        """
        split = cls(source, dict(zip(source.entries, reports)), Problems(problems))
        ids = list(source.categories)
        learnt = [index for index, id_ in enumerate(ids) if id_ in source.learnt]
        measured = []
        for image_id, report in split.image_reports.items():
            split.problems += report.problems
            split.unknown_values.update(report.unknown_values)
            if report.void_share is not None:
                split.void_shares[image_id] = report.void_share
                if report.void_share == 1 and source.form != 'instance':
                    text = f'{source.entries[image_id].path} has no pixel of a class: nothing is learnt from it'
                    split.problems.add('all void', image_id, text)
            measured.append(report.segments[np.isin(report.segments['category'], learnt)])
            for index, area in zip(measured[-1]['category'].tolist(), measured[-1]['area'].tolist()):
                split.pixels[ids[index]] += area
            split._count(image_id, report, ids)
        if measured:
            split.measured = np.concatenate(measured)
        split._judge()
        return split

    def _count(self, image_id: Any, report: ImageReport, ids: list) -> None:
        if self.source.form == 'semantic':
            categories = [ids[index] for index in report.segments['category']]
            if report.void_share is not None:
                self.num_learnt[image_id] = len(categories)
        else:
            known = [s for s in self.source.entries[image_id].segments if is_id(s.get('category_id'))]
            segments = [segment for segment in known if self.source.is_of_class(segment)]
            categories = [segment['category_id'] for segment in segments]
            self.num_left_out += len(known) - len(segments)
            self.num_crowds += sum(bool(segment.get('iscrowd')) for segment in segments)
            self.num_learnt[image_id] = sum(self.source.learns(segment) for segment in segments)
        self.segments.update(categories)
        self.images.update(set(categories))

    def _judge(self) -> None:
        """Report what only the whole split shows."""
        source, queries = self.source, self.source.settings.num_queries
        types = Counter(report.dtype for report in self.image_reports.values() if report.dtype is not None)
        usual = types.most_common(1)[0] if types else (None, 0)
        for image_id, report in self.image_reports.items():
            if report.dtype not in (None, usual[0]):
                text = (
                    f'{source.entries[image_id].path} is {report.dtype}, but {usual[1]} of {types.total()} images are '
                    f'{usual[0]}: convert it, as one mean and deviation is for all'
                )
                self.problems.add('mixed types', image_id, text)
        for image_id, count in sorted(self.num_learnt.items(), key=lambda item: -item[1]):
            if queries is not None and count > queries:
                text = (
                    f'{source.entries[image_id].path} has {count} segments, the model {queries} queries: '
                    'raise model.head.num_queries'
                )
                self.problems.add('more segments than queries', image_id, text)
        # Without maps, or without annotations, as test sets may be, nothing says which classes there are.
        if not (self.void_shares if source.form == 'semantic' else 'annotations' in source.raw):
            return
        kind = 'class without pixel' if source.form == 'semantic' else 'class without segment'
        for category, row in source.categories.items():
            if category in source.learnt and not self.segments[category]:
                self.problems.add(kind, None, f"'{row.get('name')}' never occurs")

    def segment_table(self) -> SegmentTable:
        """The segments that a training learns, as measured, or, where no pixel was read, as the JSON file has them."""
        source, builder = self.source, TableBuilder()
        learnt = [category in source.learnt for category in source.categories]  # those come first, in the labels' order
        items = []
        for image_id, report in self.image_reports.items():
            entry = source.entries[image_id]
            size = report.size or entry.size
            if size is None:
                continue
            items.append(dict(img_id=image_id, width=size[0], height=size[1]))
            if len(self.measured):
                for row in report.segments:
                    if row['category'] >= 0 and learnt[row['category']] and not row['crowd']:
                        box = [int(row[key]) for key in ('x', 'y', 'width', 'height')]
                        builder.add(image_id, int(row['category']), dict(area=int(row['area']), bbox=box))
            else:
                for segment in entry.segments:
                    if source.learns(segment):
                        builder.add(image_id, source.index_of(segment), segment)
        return builder.build(items)

    @cached_property
    def limits(self) -> list[str]:
        """What the config caps on this split, a sentence each."""
        settings = self.source.settings.limits
        rows = [row for category, row in self.source.categories.items() if category in self.source.learnt]
        if settings is None or not rows:
            return []
        names, isthing = [str(row.get('name')) for row in rows], [bool(row.get('isthing')) for row in rows]
        settings = replace(settings, by_class=settings.by_class or self.source.form == 'semantic')
        return limit_sentences(self.segment_table(), settings, names, isthing)


class Duplicate(NamedTuple):
    """An image of the first split that is in another one, too: the same file, or one that looks the same."""

    image: Any
    other_split: str
    other_image: Any
    same_file: bool


@dataclass
class Report:
    """The reports of the splits, and what the first one has in common with the others."""

    splits: list[SplitReport] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)

    @property
    def num_errors(self) -> int:
        return sum(problem.is_error for split in self.splits for problem in split.problems)
