"""The segments of a data set that a training learns, as columns: what limits are found from without reading a pixel."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mask2former.formats.coco_values import is_number


@dataclass(frozen=True)
class SegmentTable:
    """S segments of I images; crowd and what has no class are no segments.

    Attributes:
        sizes: ``(I, 2)``, height and width of every image, with segments or without.
        image: ``(S,)`` int64, the image of each segment, as a row of ``sizes``.
        label: ``(S,)`` int64.
        area: ``(S,)`` float32, pixels of the original image; NaN where it is not known.
        box: ``(S, 4)`` float32, left, top, width and height in such pixels; NaN where it is not known.
    """

    sizes: np.ndarray
    image: np.ndarray
    label: np.ndarray
    area: np.ndarray
    box: np.ndarray

    def __len__(self) -> int:
        return len(self.image)

    def of_labels(self, labels: Iterable[int]) -> 'SegmentTable':
        """Only the segments of some classes, of the same images."""
        kept = np.isin(self.label, list(labels))
        return replace(self, image=self.image[kept], label=self.label[kept], area=self.area[kept], box=self.box[kept])

    def of_images(self, rows: np.ndarray) -> 'SegmentTable':
        """Only some of the images ``(J,)``, each once."""
        new = np.full(len(self.sizes), -1)
        new[rows] = np.arange(len(rows))
        image = new[self.image]
        kept = image >= 0
        return SegmentTable(self.sizes[rows], image[kept], self.label[kept], self.area[kept], self.box[kept])

    def by_class(self) -> 'SegmentTable':
        """All segments of a class in an image as one: the sum of their areas, and the box around their boxes."""
        keys = self.image * (int(self.label.max(initial=0)) + 1) + self.label
        order = np.argsort(keys, kind='stable')
        first = np.flatnonzero(np.diff(keys[order], prepend=-1))  # where a class of an image begins
        corner, far = self.box[order, :2], self.box[order, :2] + self.box[order, 2:]
        corner = np.minimum.reduceat(corner, first) if len(first) else corner
        far = np.maximum.reduceat(far, first) if len(first) else far
        rows = order[first]
        area = np.add.reduceat(self.area[order], first) if len(first) else self.area
        box = np.concatenate([corner, far - corner], axis=1)
        return replace(self, image=self.image[rows], label=self.label[rows], area=area, box=box)

    def per_image(self) -> np.ndarray:
        """Segments of each image, ``(I,)``."""
        return np.bincount(self.image, minlength=len(self.sizes))

    def per_class(self, num_classes: int) -> np.ndarray:
        """Segments of each class, ``(K,)``."""
        return np.bincount(self.label, minlength=num_classes)

    def counts(self, images: np.ndarray, num_classes: int) -> np.ndarray:
        """Segments of each class in some images ``(J,)``: ``(J, K)``."""
        part = self.of_images(images)
        cells = np.bincount(part.image * num_classes + part.label, minlength=len(images) * num_classes)
        return cells.reshape(len(images), num_classes)


def join_tables(tables: Sequence[SegmentTable]) -> SegmentTable:
    """The table of several data sets together."""
    starts = np.cumsum([0, *(len(table.sizes) for table in tables)])
    return SegmentTable(
        np.concatenate([table.sizes for table in tables]),
        np.concatenate([table.image + start for table, start in zip(tables, starts)]),
        np.concatenate([table.label for table in tables]),
        np.concatenate([table.area for table in tables]),
        np.concatenate([table.box for table in tables]),
    )


@dataclass
class TableBuilder:
    """Collects segments while an annotation file is read, in flat lists of numbers."""

    image_ids: list[Any] = field(default_factory=list)
    numbers: array = field(default_factory=lambda: array('f'))  # label, area, box

    def add(self, image_id: Any, label: int, annotation: dict) -> None:
        """Add a segment as COCO's files write it; a malformed area or box counts as unknown."""
        self.image_ids.append(image_id)
        area, box = annotation.get('area'), annotation.get('bbox')
        if isinstance(box, list) and len(box) == 4:  # nearly always: there may be a million of them
            try:
                return self.numbers.fromlist([label, area, *box])  # all of them or none
            except (TypeError, OverflowError):  # one is no number, or none that a float holds
                pass
        if not is_number(area):
            area = np.nan
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
            box = [np.nan] * 4
        self.numbers.extend((label, area, *box))

    def build(self, items: Sequence[dict]) -> SegmentTable:
        """The table of the images that are left, ``dict(img_id, height, width)`` each; the others' segments go."""
        rows = {item['img_id']: row for row, item in enumerate(items)}
        image = np.array([rows.get(image_id, -1) for image_id in self.image_ids], dtype=np.int64)
        numbers = np.array(self.numbers, dtype=np.float32).reshape(-1, 6)
        kept = image >= 0
        numbers = numbers[kept]
        return SegmentTable(
            np.array([(item['height'], item['width']) for item in items], dtype=np.int64).reshape(-1, 2),
            image[kept],
            numbers[:, 0].astype(np.int64),
            numbers[:, 1],
            numbers[:, 2:],
        )


def table_of(dataset: Any) -> SegmentTable | None:
    """The table of a data set, or of those within a wrapper; None where one of them has none."""
    if getattr(dataset, 'segment_table', None) is not None:
        return dataset.segment_table
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    tables = [None if part is None else table_of(part) for part in inner]
    known = [table for table in tables if table is not None]
    return join_tables(known) if len(known) == len(tables) else None
