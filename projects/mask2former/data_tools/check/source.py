"""A split as config and files describe it, read without stopping at the first fault as the data sets do."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from mask2former.datasets.semantic_png import UNKNOWN
from mask2former.formats.coco_values import is_number
from mask2former.limits.settings import LimitSettings

from .kinds import Problem

# Pixels by which a box may leave its image or differ from its mask: boxes of polygons have fractions of pixels.
BOX_SLACK = 1.0


@dataclass(frozen=True)
class Settings:
    """What the config says of one data set, beside where its files are.

    Attributes:
        split: Its split: 'train', 'val' or 'test'.
        number: Which data set of the split it is, from 1.
        key: Where the config has it.
        num_queries: Those of the model, None where the config does not say.
        crop_size: (width, height) of the crops of the pipeline.
        turns: Whether the pipeline turns images by their EXIF tag.
        limits: What the config caps.
        bands: Those that each image must have, None for ordinary images.
    """

    split: str
    number: int = 1
    key: str = ''
    num_queries: int | None = None
    crop_size: tuple[int, int] | None = None
    turns: bool = True
    limits: LimitSettings | None = field(default=None, compare=False)  # it has arrays
    bands: int | None = None

    @property
    def name(self) -> str:
        """That of the split, with a number where several data sets make it."""
        return self.split if self.number == 1 else f'{self.split}_{self.number}'


@dataclass
class Entry:
    """An image with its annotations as the files write them.

    Attributes:
        image: Entry of ``images``, at least its ``id``.
        path: The image file.
        map_path: The PNG of a panoptic or semantic annotation.
        segments: ``segments_info`` of a panoptic file, annotations of an instance file.
    """

    image: dict
    path: str
    map_path: str | None = None
    segments: list[dict] = field(default_factory=list)

    @property
    def id(self) -> Any:
        return self.image['id']

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) that the JSON file says, None where nothing says it."""
        return (self.image['width'], self.image['height']) if 'width' in self.image else None


@dataclass(frozen=True)
class Source:
    """A split: its files, its entries, and what is wrong before any image is opened.

    Attributes:
        settings: What the config says of it.
        form: 'panoptic', 'instance' or 'semantic'.
        ann_file: The annotation file; of a semantic data set it may be empty.
        folders: Of the images (``img``) and maps (``seg``).
        categories: Category id (of a semantic data set the label) to ``name`` and ``isthing``.
        learnt: The categories that a training learns; pixels of the others are void.
        entries: By image id.
        problems: What is wrong in the annotation file itself.
        raw: Content of the JSON file.
        label_table: ``(values,)``, of a semantic data set: pixel value to label, ``IGNORED`` or ``UNKNOWN``.
        num_videos: Videos whose frames the entries are; None where they are images.
    """

    settings: Settings
    form: str
    ann_file: str
    folders: dict[str, str]
    categories: dict[Any, dict]
    learnt: frozenset
    entries: dict[Any, Entry]
    problems: tuple[Problem, ...]
    raw: dict
    label_table: np.ndarray | None = None
    num_videos: int | None = None

    @property
    def unit(self) -> str:
        """What an entry is: 'image' or 'frame'."""
        return 'image' if self.num_videos is None else 'frame'

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def title(self) -> str:
        return f'{self.name}: {self.ann_file or Path(self.folders["img"])}'

    @cached_property
    def _indices(self) -> dict[Any, int]:
        return {category: index for index, category in enumerate(self.categories)}

    def index_of(self, segment: dict) -> int:
        """Index of a segment's category in ``categories``, -1 if it is none of them."""
        category = segment.get('category_id')
        return self._indices.get(category, -1) if is_id(category) else -1

    def is_of_class(self, segment: dict) -> bool:
        """Whether a segment of a COCO file has a category that a training learns."""
        return is_id(segment.get('category_id')) and segment['category_id'] in self.learnt

    def learns(self, segment: dict) -> bool:
        """Whether a training learns a segment of a COCO file: no crowd, a class of the data set, not without pixels."""
        return not segment.get('iscrowd') and self.is_of_class(segment) and segment.get('area') != 0

    def labels_of(self, values: np.ndarray) -> np.ndarray:
        """The labels ``(H, W)`` int32 of the pixel values of a class-id PNG, ``IGNORED`` or ``UNKNOWN``."""
        assert self.label_table is not None, 'only semantic data has pixel values'
        inside = (values >= 0) & (values < len(self.label_table))
        return np.where(inside, self.label_table[np.where(inside, values, 0)], UNKNOWN)


def is_id(value: Any) -> bool:
    """Whether a value of a JSON file can be an id: lists and objects cannot be looked up."""
    return isinstance(value, (int, str))


def is_box(value: Any) -> TypeGuard[list[float]]:
    """Whether a value of a JSON file is a list of four finite numbers."""
    return isinstance(value, list) and len(value) == 4 and all(map(is_number, value))
