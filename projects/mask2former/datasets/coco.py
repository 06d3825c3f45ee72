"""Data sets in COCO's formats: a JSON file of instances, or of panoptic segments with a PNG file for each image."""

import reprlib
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from mmengine.dataset import BaseDataset

from mask2former.errors import DataError, UserError
from mask2former.formats.coco_values import is_file_name, is_flag, is_segment_id, is_side
from mask2former.formats.files import read_json
from mask2former.garbage import no_garbage_collection
from mask2former.registry import DATASETS

from .categories import check_names, known_names, labels_by_id
from .file_paths import file_path
from .metainfo import check_keys, resolve_metainfo
from .segment_table import SegmentTable, TableBuilder

# What null or text raises where a number or an object is expected.
MALFORMED = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
SHOWN = 200  # characters of an entry in a message
FOLDERS = {'panoptic': ('img', 'seg'), 'instance': ('img',)}  # what data_prefix has


class CocoFormat(BaseDataset):
    """A data set which a COCO-like JSON file describes; a subclass says of which ``form`` it is.

    An item has ``img_path, img_id, height, width`` and

    - 'panoptic': ``seg_map_path``, the PNG file, absent where the image has no annotation; ``segments_info``, a list of
      ``dict(id, label, isthing, iscrowd, category_id)``; and ``void_ids``, the ids in the PNG whose category
      ``metainfo`` leaves out.
    - 'instance': ``instances``, a list of ``dict(segmentation, label, iscrowd, bbox, category_id)``, with the
      segmentation as the file writes it (polygons, uncompressed or compressed RLE) and ``bbox`` as xywh in pixels, None
      where the file has none.

    Args:
        ann_file: The JSON file, relative to ``data_root`` or absolute.
        metainfo: ``classes`` may name a part of the categories in any order; pixels of the others are void.
            ``palette``, ``isthing`` and ``category_ids`` replace what class or file say.
        data_root: Folder before ``ann_file`` and ``data_prefix``.
        data_prefix: ``img``, the folder of the images, and ``seg``, that of the panoptic PNG files.
        filter_cfg: ``dict(filter_empty_gt=True)`` leaves out images without a segment to learn from (none but crowd, or
            none at all); not in test mode.
        allow_outside_root: Whether the annotation file may name files outside of ``data_root`` and ``data_prefix``.
        lazy_init: Whether to read the images' entries later, by ``full_init``; ``metainfo`` is complete anyway.
        options: ``indices``, ``serialize_data``, ``pipeline``, ``test_mode`` (nothing is filtered, and ``annotations``
            may be absent) and ``max_refetch`` of mmengine's ``BaseDataset``, which refuses any other.

    Raises:
        MissingFileError: If the annotation file is absent.
        DataError: If the file or an argument is wrong.
    """

    form: ClassVar[str]
    default_prefix: ClassVar[Mapping[str, str]] = dict(img='train2017/', seg='annotations/panoptic_train2017/')
    more_folders: ClassVar[tuple[str, ...]] = ()  # what data_prefix may have beside those of the form
    name_key: ClassVar[str] = 'file_name'  # where an entry of 'images' names its file

    def __init__(
        self,
        ann_file: str = '',
        metainfo: Mapping | None = None,
        data_root: str = '',
        data_prefix: Mapping[str, str] | None = None,
        filter_cfg: Mapping | None = None,
        *,
        allow_outside_root: bool = False,
        lazy_init: bool = False,
        **options: Any,
    ) -> None:
        folders = (*FOLDERS[self.form], *self.more_folders)
        check_keys(type(self).__name__, 'data_prefix', data_prefix, folders)
        check_keys(type(self).__name__, 'filter_cfg', filter_cfg, ('filter_empty_gt',))
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix={
                key: folder for key, folder in {**self.default_prefix, **(data_prefix or {})}.items() if key in folders
            },
            filter_cfg=dict(filter_cfg or {}),
            lazy_init=True,  # the metainfo comes first: labels follow from it
            **options,
        )
        self.allow_outside_root = allow_outside_root
        self._content = None if lazy_init else read_json(self.ann_file)  # once: it may be half a gigabyte
        self._metainfo = resolve_metainfo(metainfo, self.METAINFO, self.ann_file, self.form, self._content)
        self._known_names = known_names(metainfo, self.METAINFO)
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Read the items; see :meth:`mmengine.dataset.BaseDataset.full_init`."""
        with no_garbage_collection():
            super().full_init()

    def load_data_list(self) -> list[dict]:
        """Read the items.

        Raises:
            DataError: If an entry is wrong; the message names the file and the image.
        """
        content = self._content or read_json(self.ann_file)
        self._content = None
        for key in ('images',) if self.test_mode else ('images', 'annotations'):
            if key not in content:
                raise DataError(
                    f"Annotation file '{self.ann_file}' has no '{key}'; give a COCO file of the kind that "
                    f'{type(self).__name__} reads.'
                )
        categories = content.get('categories', [])
        self._segments = TableBuilder()
        items: dict[int, dict] = {}
        add = self._add_segments if self.form == 'panoptic' else self._add_instance
        entry: Any = categories
        try:
            self.check_categories(categories)
            label_of = labels_by_id(categories, self._metainfo['category_ids'])
            for entry in content['images']:
                self._add_image(items, entry)
            for entry in content.get('annotations', []):
                image_id = entry.get('image_id')
                if image_id not in items:
                    raise DataError(
                        f"An annotation in '{self.ann_file}' has image_id {image_id!r}, which no "
                        "entry of 'images' has; add the image or remove the annotation."
                    )
                add(items[image_id], entry, label_of)
        except UserError:
            raise
        except MALFORMED as error:
            raise DataError(
                f"An entry of '{self.ann_file}' is malformed ({type(error).__name__}: {error}); correct it: "
                f'{reprlib.repr(entry)[:SHOWN]}.'
            ) from error
        return list(items.values())

    def _add_image(self, items: dict[int, dict], image: dict) -> None:
        """Add an item without annotations."""
        for key in ('id', self.name_key, 'height', 'width'):
            if key not in image:
                raise DataError(f"Image {image} in '{self.ann_file}' has no '{key}'; add it to the entry.")
        if image['id'] in items:
            raise DataError(f"Image id {image['id']} occurs twice in '{self.ann_file}'; give each its own id.")
        name = self.image_file(image)
        if not is_file_name(name):
            raise self._wrong(image, self.name_key, 'the name of a file', f'image {image["id"]!r}')
        for key in ('height', 'width'):
            if not is_side(image[key]):
                raise self._wrong(image, key, 'a number of pixels', f'image {image["id"]!r}')
        items[image['id']] = dict(
            img_path=file_path(self, 'img', name),
            img_id=image['id'],
            height=image['height'],
            width=image['width'],
            **(dict(segments_info=[], void_ids=[]) if self.form == 'panoptic' else dict(instances=[])),
        )

    def _wrong(self, entry: dict, key: str, expected: str, owner: str) -> DataError:
        """The error of a key whose value is not what is expected."""
        value = reprlib.repr(entry.get(key))
        return DataError(f"'{key}' of {owner} in '{self.ann_file}' is {value}; write {expected}.")

    def image_file(self, image: dict) -> str:
        """Where an image of the annotation file is, below the folder of the images."""
        return image[self.name_key]

    def check_categories(self, categories: list[dict]) -> None:
        """Check the file's categories against those that the class knows, if it knows any.

        Raises:
            DataError: If one has another name there.
        """
        check_names(categories, self._known_names, self.ann_file, type(self).__name__, f'Coco{self.form.title()}Format')

    def _add_segments(self, item: dict, annotation: dict, label_of: Mapping[Any, int | None]) -> None:
        """Add the panoptic annotation of an image to its item."""
        if 'seg_map_path' in item:
            raise DataError(
                f"Image {item['img_id']} in '{self.ann_file}' has two annotations; put all its segments into one."
            )
        if 'segments_info' not in annotation or 'file_name' not in annotation:
            raise DataError(
                f"The annotation of image {item['img_id']} in '{self.ann_file}' needs 'segments_info' and the "
                "PNG's 'file_name'; for an instance file (with 'segmentation') use type='CocoInstanceFormat'."
            )
        if not is_file_name(annotation['file_name']):
            owner = f'the annotation of image {item["img_id"]!r}'
            raise self._wrong(annotation, 'file_name', 'the name of a PNG', owner)
        item['seg_map_path'] = file_path(self, 'seg', annotation['file_name'])
        seen = {0}  # 0 is void
        for segment in annotation['segments_info']:
            if segment.get('id', 0) in seen:
                raise DataError(
                    f"Image {item['img_id']} in '{self.ann_file}' has a segment whose id is "
                    f'{segment.get("id")!r}; ids must be over 0 and differ within an image.'
                )
            crowd = segment.get('iscrowd', 0)
            if not is_segment_id(segment['id']):
                raise self._wrong(
                    segment, 'id', 'a number from 1 to 16777215', f'a segment of image {item["img_id"]!r}'
                )
            if not is_flag(crowd):
                raise self._wrong(segment, 'iscrowd', '1 or 0', f'a segment of image {item["img_id"]!r}')
            seen.add(segment['id'])
            label = self._label(item, segment, label_of)
            if label is None or segment.get('area') == 0:  # the file itself says that it has no pixel
                item['void_ids'].append(segment['id'])
            else:
                item['segments_info'].append(
                    dict(
                        id=segment['id'],
                        label=label,
                        isthing=self._metainfo['isthing'][label],
                        iscrowd=int(crowd),
                        category_id=segment['category_id'],
                    )
                )
                if not crowd:
                    self._segments.add(item['img_id'], label, segment)

    def _add_instance(self, item: dict, annotation: dict, label_of: Mapping[Any, int | None]) -> None:
        """Add an annotation of an instance file to the item of its image."""
        if 'segments_info' in annotation:
            raise DataError(
                f"'{self.ann_file}' is a panoptic file (it has 'segments_info'); use type='CocoPanopticFormat'."
            )
        label = self._label(item, annotation, label_of)
        if label is None:
            return
        if not annotation.get('segmentation'):
            raise DataError(
                f"Annotation {annotation.get('id')} of image {item['img_id']} in '{self.ann_file}' has "
                "no 'segmentation'; add its polygons or RLE (a box is not enough), or remove it."
            )
        if not is_flag(annotation.get('iscrowd', 0)):
            owner = f'annotation {annotation.get("id")!r} of image {item["img_id"]!r}'
            raise self._wrong(annotation, 'iscrowd', '1 or 0', owner)
        item['instances'].append(
            dict(
                segmentation=annotation['segmentation'],
                label=label,
                iscrowd=int(annotation.get('iscrowd', 0)),
                bbox=annotation.get('bbox'),
                category_id=annotation['category_id'],
            )
        )
        if not annotation.get('iscrowd'):
            self._segments.add(item['img_id'], label, annotation)

    def _label(self, item: dict, segment: dict, label_of: Mapping[Any, int | None]) -> int | None:
        category_id = segment.get('category_id')
        if category_id not in label_of:
            raise DataError(
                f"Image {item['img_id']} in '{self.ann_file}' has a segment with category_id {category_id!r}, "
                "which no entry of 'categories' has; add the category or correct the id."
            )
        return label_of[category_id]

    def filter_data(self) -> list[dict]:
        """Leave out the items without a segment to learn from, where ``filter_empty_gt`` asks for it."""
        kept = self.data_list
        if not self.test_mode and self.filter_cfg.get('filter_empty_gt', False):
            kept = [item for item in self.data_list if self._labels_of(item)]
            if not kept:
                raise DataError(
                    f"No image of '{self.ann_file}' has a segment of the {len(self._metainfo['classes'])} "
                    'classes; check metainfo, or leave out filter_empty_gt.'
                )
        self._table = self._segments.build(kept)
        del self._segments
        return kept

    @property
    def segment_table(self) -> SegmentTable:
        """The segments that a training learns, as columns, without reading the items again."""
        self.full_init()
        if self._indices is None:
            return self._table
        rows = np.arange(len(self._table.sizes))
        if isinstance(self._indices, int):  # as mmengine takes it: the first ones, or the last ones
            return self._table.of_images(rows[: self._indices] if self._indices >= 0 else rows[self._indices :])
        return self._table.of_images(rows[list(self._indices)])

    def get_cat_ids(self, idx: int) -> list[int]:
        """Labels of the image's segments, crowd left out; for mmengine's ``ClassBalancedDataset``."""
        return self._labels_of(self.get_data_info(idx))

    def _labels_of(self, item: dict) -> list[int]:
        segments = item['segments_info' if self.form == 'panoptic' else 'instances']
        return [segment['label'] for segment in segments if not segment['iscrowd']]


@DATASETS.register_module()
class CocoPanopticFormat(CocoFormat):
    """A panoptic data set of any classes; they come from the file's ``categories``, which need ``isthing``."""

    form = 'panoptic'


@DATASETS.register_module()
class CocoInstanceFormat(CocoFormat):
    """An instance data set of any classes; they come from the file's ``categories``, and all are things."""

    form = 'instance'
