"""A split as its files describe it, read without stopping at the first fault as the data sets do."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .problem import Problem


@dataclass
class Entry:
    """An image with its annotations as the files write them.

    Attributes:
        image (dict): Entry of ``images``, at least its ``id``.
        path (str): The image file.
        map_path (str, optional): The PNG of a panoptic or semantic annotation.
        segments (list[dict]): ``segments_info`` of a panoptic file, annotations of an instance file.
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


@dataclass
class Source:
    """A split: its files, its entries, and what is wrong before any image is opened.

    Attributes:
        split (str): Name of the split in the config.
        form (str): 'panoptic', 'instance' or 'semantic'.
        name (str): As ``split``, with a number where several data sets make the split.
        place (str): Where the config has the data set.
        ann_file (str): The annotation file; of a semantic data set it may be empty.
        folders (dict[str, str]): Of the images (``img``) and maps (``seg``).
        raw (dict): Content of the JSON file.
        categories (dict): Category id (of a semantic data set the label) to ``name`` and ``isthing``.
        learnt (frozenset): The categories that a training learns; pixels of the others are void.
        label_table (np.ndarray, optional): Of a semantic data set: pixel value to label, -1 void, -2 unknown.
        num_queries (int, optional): Of the model of the config.
        crop_size (tuple[int, int], optional): (width, height) of the crops of the pipeline.
        turns (bool): Whether the pipeline turns images by their EXIF tag.
        entries (dict[Any, Entry]): By image id.
        problems (list[Problem]): What is wrong in the annotation file itself.
    """

    split: str
    form: str
    name: str = ''
    place: str = ''
    ann_file: str = ''
    folders: dict[str, str] = field(default_factory=dict)
    raw: dict = field(default_factory=dict)
    categories: dict = field(default_factory=dict)
    learnt: frozenset = frozenset()
    label_table: np.ndarray | None = None
    num_queries: int | None = None
    crop_size: tuple[int, int] | None = None
    turns: bool = True
    entries: dict[Any, Entry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = self.name or self.split

    def add(self, kind: str, image: Any, text: str) -> None:
        self.problems.append(Problem(kind, image, text))

    @property
    def title(self) -> str:
        return f'{self.name}: {self.ann_file or Path(self.folders["img"])}'

    def learns(self, segment: dict) -> bool:
        """Whether a training learns a segment of a COCO file: no crowd, a class of the data set, not without pixels."""
        return (
            not segment.get('iscrowd')
            and is_id(segment.get('category_id'))
            and segment['category_id'] in self.learnt
            and segment.get('area') != 0
        )


def is_id(value: Any) -> bool:
    """Whether a value of a JSON file can be an id: lists and objects cannot be looked up."""
    return isinstance(value, (int, str))
