"""What the two COCO formats share: constructor, images, category ids, filtering."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from mmengine.dataset import BaseDataset
from mmengine.fileio import join_path

from mask2former.errors import DataError
from mask2former.formats.files import read_json

from .metainfo import check_keys, resolve_metainfo


class CocoJson(BaseDataset):
    """Base of the data sets which a COCO-like JSON file describes.

    Args:
        ann_file (str): The JSON file, relative to ``data_root`` or absolute.
        metainfo (Mapping, optional): ``classes`` may name a part of the categories in any order; pixels of the others
            are void. ``palette``, ``isthing`` and ``category_ids`` replace what class or file say.
        data_root (str): Folder before ``ann_file`` and ``data_prefix``.
        data_prefix (Mapping, optional): Folder of each kind of file, over ``default_prefix``, which has all the keys.
        filter_cfg (Mapping, optional): ``dict(filter_empty_gt=True)`` leaves out images without a segment to learn from
            (none but crowd, or none at all); not in test mode.
        indices (int | Sequence[int], optional): Use the first (or last, if negative) or these images only.
        serialize_data (bool): Whether to hold the items pickled, so that workers share the memory.
        pipeline (Sequence[dict | Callable]): Transforms.
        test_mode (bool): Whether this is a test set: nothing is filtered, and ``annotations`` may be absent.
        lazy_init (bool): Whether to read the images' entries later, by ``full_init``; ``metainfo`` is complete anyway.
        max_refetch (int): How often to try another image where the pipeline returns None.

    Raises:
        MissingFileError: If the annotation file is absent.
        DataError: If the file or an argument is wrong.
    """

    form: ClassVar[str]  # 'panoptic' or 'instance'
    default_isthing: bool | None = None
    default_prefix: Mapping[str, str] = dict(img='')
    name_key = 'file_name'  # where an entry of 'images' names its file

    def __init__(
        self,
        ann_file: str = '',
        metainfo: Mapping | None = None,
        data_root: str = '',
        data_prefix: Mapping[str, str] | None = None,
        filter_cfg: Mapping | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        pipeline: Sequence[dict | Callable] = (),
        test_mode: bool = False,
        lazy_init: bool = False,
        max_refetch: int = 1000,
    ) -> None:
        check_keys(type(self).__name__, 'data_prefix', data_prefix, self.default_prefix)
        check_keys(type(self).__name__, 'filter_cfg', filter_cfg, ('filter_empty_gt',))
        super().__init__(
            ann_file=ann_file,
            metainfo=None,
            data_root=data_root,
            data_prefix={**self.default_prefix, **(data_prefix or {})},
            filter_cfg=dict(filter_cfg or {}),
            indices=indices,
            serialize_data=serialize_data,
            pipeline=pipeline,
            test_mode=test_mode,
            lazy_init=True,  # the metainfo comes first: labels follow from it
            max_refetch=max_refetch,
        )
        self._metainfo = resolve_metainfo(metainfo, self.METAINFO, self.ann_file, default_isthing=self.default_isthing)
        self._ids_from_class = 'category_ids' in self.METAINFO and 'category_ids' not in (metainfo or {})
        if not lazy_init:
            self.full_init()

    def filter_data(self) -> list[dict]:
        """Leave out the items without a segment to learn from, where ``filter_empty_gt`` asks for it."""
        if self.test_mode or not self.filter_cfg.get('filter_empty_gt', False):
            return self.data_list
        kept = [item for item in self.data_list if self._labels_of(item)]
        if not kept:
            raise DataError(
                f"No image of '{self.ann_file}' has a segment of the {len(self._metainfo['classes'])} "
                'classes; check metainfo, or leave out filter_empty_gt.'
            )
        return kept

    def get_cat_ids(self, idx: int) -> list[int]:
        """Labels of the image's segments, crowd left out; for mmengine's ``ClassBalancedDataset``."""
        return self._labels_of(self.get_data_info(idx))

    def _labels_of(self, item: dict) -> list[int]:
        raise NotImplementedError

    def _read(self) -> tuple[dict[int, dict], list[dict]]:
        """Read the file.

        Returns:
            tuple: ``{img_id: dict(img_path, img_id, height, width)}`` and the file's annotations.
        """
        raw = read_json(self.ann_file)
        for key in ('images',) if self.test_mode else ('images', 'annotations'):
            if key not in raw:
                raise DataError(
                    f"Annotation file '{self.ann_file}' has no '{key}'; give a COCO file of the kind that "
                    f'{type(self).__name__} reads.'
                )
        self.check_categories(raw.get('categories', []))

        items = {}
        for image in raw['images']:
            for key in ('id', self.name_key, 'height', 'width'):
                if key not in image:
                    raise DataError(f"Image {image} in '{self.ann_file}' has no '{key}'; add it to the entry.")
            if image['id'] in items:
                raise DataError(f"Image id {image['id']} occurs twice in '{self.ann_file}'; give each its own id.")
            items[image['id']] = dict(
                img_path=join_path(self.data_prefix['img'], self.image_file(image)),
                img_id=image['id'],
                height=image['height'],
                width=image['width'],
            )
        return items, raw.get('annotations', [])

    def image_file(self, image: dict) -> str:
        """Where an image of the annotation file is, below the folder of the images."""
        return image[self.name_key]

    def check_categories(self, categories: list[dict]) -> None:
        """Check the file's categories against the class's own ones, and note which ids an annotation may have."""
        own = dict(zip(self.METAINFO.get('category_ids', ()), self.METAINFO.get('classes', ())))
        for category in categories if self._ids_from_class else ():
            if own.get(category['id']) != category['name'].strip():
                raise DataError(
                    f"Category {category['id']} of '{self.ann_file}' is '{category['name']}', but "
                    f'{type(self).__name__} has {own.get(category["id"], "none")!r} there; use '
                    f"type='Coco{'Instance' if self.default_isthing else 'Panoptic'}Format', which takes the file's "
                    'own.'
                )
        self._file_ids = {category['id'] for category in categories} | set(self._metainfo['category_ids'])
        self._label_of_id = {id_: label for label, id_ in enumerate(self._metainfo['category_ids'])}

    def _item_of(self, annotation: dict, items: dict[int, dict]) -> dict:
        item = items.get(annotation.get('image_id'))
        if item is None:
            raise DataError(
                f"An annotation in '{self.ann_file}' has image_id {annotation.get('image_id')!r}, which no "
                "entry of 'images' has; add the image or remove the annotation."
            )
        return item

    def _label(self, category_id: int | None, img_id: int) -> int | None:
        """The label of a category id, None where ``metainfo`` leaves the category out."""
        if category_id not in self._file_ids:
            raise DataError(
                f"Image {img_id} in '{self.ann_file}' has a segment with category_id {category_id!r}, "
                "which no entry of 'categories' has; add the category or correct the id."
            )
        return self._label_of_id.get(category_id)
