"""The annotation file of a split, read without stopping at the first fault as the data sets do."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset

from ..datasets.coco_json import CocoJson
from ..datasets.errors import DataError
from ..datasets.metainfo import read_json

# What a training cannot work with, or what makes its results wrong. All other kinds are warnings.
ERRORS = {
    'missing image', 'missing map', 'corrupt image', 'corrupt map', 'wrong size', 'id not in JSON', 'id not in PNG',
    'unknown category', 'image id twice', 'segment id twice', 'no such image', 'no segmentation', 'empty mask',
    'two annotations', 'segment id 0', 'malformed entry', 'in train and val'}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: of which kind, in which image, and in words what to mend."""
    kind: str
    image: Any  # id, None where no image is to blame
    text: str

    @property
    def is_error(self) -> bool:
        return self.kind in ERRORS


@dataclass
class Entry:
    """An image with its annotations as the JSON file writes them.

    Attributes:
        image (dict): Entry of ``images``.
        path (str): The image file.
        map_path (str, optional): The PNG of a panoptic annotation.
        segments (list[dict]): ``segments_info`` of a panoptic file, annotations of an instance file.
    """
    image: dict
    path: str
    map_path: str | None = None
    segments: list[dict] = field(default_factory=list)


@dataclass
class Source:
    """A split: its files, its entries, and what is wrong in the JSON file itself.

    Attributes:
        split (str): Name of the split.
        ann_file (str): The JSON file.
        panoptic (bool): Whether it is a panoptic file, with PNGs; else an instance file.
        raw (dict): Content of the JSON file.
        categories (dict): Category id to its entry.
        entries (dict[Any, Entry]): By image id.
        problems (list[Problem]): What is wrong in the JSON file.
    """
    split: str
    ann_file: str
    panoptic: bool
    raw: dict
    categories: dict
    entries: dict[Any, Entry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def of(cls, split: str, dataset: BaseDataset) -> 'Source':
        """Read the split of a data set that was built with ``lazy_init=True``.

        Raises:
            DataError: It is no data set of COCO's formats.
            FileNotFoundError: The annotation file is absent.
        """
        if not isinstance(dataset, CocoJson):
            raise DataError(f'The {split} set is a {type(dataset).__name__}: only data sets with a COCO JSON file '
                            '(CocoPanopticFormat, CocoInstanceFormat and those made of them) can be checked.')
        raw = read_json(dataset.ann_file)
        source = cls(split, dataset.ann_file, 'seg' in dataset.default_prefix, raw,
                     {category.get('id'): category for category in raw.get('categories', [])})
        source._read_images(lambda image: str(Path(dataset.data_prefix['img']) / dataset._image_file(image)))
        source._read_annotations(dataset.data_prefix.get('seg', ''))
        return source

    def add(self, kind: str, image: Any, text: str) -> None:
        self.problems.append(Problem(kind, image, text))

    def _read_images(self, path_of: Callable[[dict], str]) -> None:
        for image in self.raw.get('images', []):
            try:
                entry = Entry(image, path_of(image))
                missing = [key for key in ('id', 'height', 'width') if key not in image]
            except KeyError as error:
                missing = [error.args[0]]
            if missing:
                self.add('malformed entry', image.get('id'), f"an entry of 'images' lacks {', '.join(missing)}")
            elif image['id'] in self.entries:
                self.add('image id twice', image['id'], f'{entry.path} has the id of another image')
            else:
                self.entries[image['id']] = entry
        for path, count in Counter(entry.path for entry in self.entries.values()).items():
            if count > 1:
                self.add('file listed twice', None, f'{path} belongs to {count} images')

    def _read_annotations(self, map_folder: str) -> None:
        annotated = set()
        for annotation in self.raw.get('annotations', []):
            image_id = annotation.get('image_id')
            entry = self.entries.get(image_id)
            if entry is None:
                self.add('no such image', image_id, "an annotation's image_id is no image: remove it or add the image")
                continue
            if self.panoptic:
                if 'segments_info' not in annotation or 'file_name' not in annotation:
                    self.add('malformed entry', image_id, "a panoptic annotation lacks 'segments_info' or 'file_name'")
                    continue
                if image_id in annotated:
                    self.add('two annotations', image_id, 'put all segments of the image into one annotation')
                    continue
                entry.map_path = str(Path(map_folder) / annotation['file_name'])
                entry.segments = annotation['segments_info']
            else:
                entry.segments.append(annotation)
            annotated.add(image_id)
        for image_id, entry in self.entries.items():
            if image_id not in annotated:
                self.add('no annotation', image_id, f'{entry.path} has no annotation')
            self._check_segments(image_id, entry)

    def _check_segments(self, image_id: Any, entry: Entry) -> None:
        seen = set()
        for segment in entry.segments:
            name = f"segment {segment.get('id')}"
            if segment.get('category_id') not in self.categories:
                self.add('unknown category', image_id, f"{name} has the category {segment.get('category_id')!r}")
            if self.panoptic:
                if segment.get('id') in seen:
                    self.add('segment id twice', image_id, f'{name} is listed twice')
                if not segment.get('id'):
                    self.add('segment id 0', image_id, 'a segment has no id, or 0, which is void')
                seen.add(segment.get('id'))
            elif not segment.get('segmentation'):
                self.add('no segmentation', image_id, f"{name} has no 'segmentation'")
            if segment.get('area') == 0:
                self.add('area 0', image_id, f'{name} has the area 0')
            box = segment.get('bbox')
            if box and (box[0] < -1 or box[1] < -1 or box[0] + box[2] > entry.image['width'] + 1
                        or box[1] + box[3] > entry.image['height'] + 1):
                self.add('box outside', image_id, f'{name} has the box {box} in an image of '
                         f"{entry.image['width']} x {entry.image['height']}")
