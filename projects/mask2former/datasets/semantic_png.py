"""Semantic data sets: a folder of images, and for each a PNG whose pixel values are class ids."""

import os
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.fileio import join_path

from mask2former.errors import DataError, MissingFileError, near_names
from mask2former.formats.coco_values import is_file_name
from mask2former.formats.files import read_json, read_lines
from mask2former.registry import DATASETS

from .file_paths import file_path
from .metainfo import check_keys, label_map_metainfo, resolve_metainfo

IGNORED, UNKNOWN = -1, -2
LARGEST = 65535  # pixel value: PNG files have 16 bits at most, and the table of labels has a row for each value


@DATASETS.register_module()
class SemanticPngFormat(BaseDataset):
    """A semantic data set of any classes, from images and class-id PNG files of the same name.

    What a pixel value means is always said and never guessed or shifted: ``label_map``, or else the ``category_ids`` of
    the classes (``ann_file``'s, or ``metainfo``'s), and ``ignore_index``. Any other value in a PNG is an error.

    An item is ``dict(img_path, img_id, seg_map_path, label_table)``: ``img_id`` is the path below the folder, without
    suffix; ``label_table`` holds the label of each pixel value, -1 for void and -2 for a value that must not occur.

    Args:
        ann_file: Relative to ``data_root`` or absolute, or empty: a JSON file with ``categories`` (``id`` is the
            pixel value; ``name``, ``color`` and ``isthing`` as in COCO) and perhaps ``images``, a list of
            ``dict(file_name)`` to which the data set is limited; or a text file of image names, one a line.
        metainfo: ``classes`` may name a part of the categories in any order; pixels of the others are void.
            ``palette``, ``isthing`` and ``category_ids`` replace what class or file say. Classes are stuff where
            nothing says that they are things.
        data_root: Folder before ``ann_file`` and ``data_prefix``.
        data_prefix: ``img`` and ``seg``, the folders of images and of PNG files, with the same folders below them.
        img_suffix: End of an image's name, or several.
        seg_map_suffix: What the PNG's name has instead.
        label_map: Class of each pixel value; several values may be one class.
        ignore_index: The pixel values, one or several, that are void.
        allow_outside_root: Whether the annotation file may name files outside of ``data_root`` and ``data_prefix``.
        lazy_init: Whether to list the images later, by ``full_init``; ``metainfo`` is complete anyway.
        options: ``indices``, ``serialize_data``, ``pipeline``, ``test_mode`` (the folder of PNG files may be absent)
            and ``max_refetch`` of mmengine's ``BaseDataset``, which refuses any other; there is nothing to filter.

    Raises:
        MissingFileError: If a file or folder is absent.
        DataError: If an argument is wrong or an image has no PNG.
    """

    form: ClassVar[str] = 'semantic'
    default_prefix: ClassVar[Mapping[str, str]] = dict(img='images/', seg='annotations/')

    def __init__(
        self,
        ann_file: str = '',
        metainfo: Mapping | None = None,
        data_root: str = '',
        data_prefix: Mapping[str, str] | None = None,
        img_suffix: str | Sequence[str] = '.jpg',
        seg_map_suffix: str = '.png',
        label_map: Mapping[int, str] | None = None,
        ignore_index: int | Sequence[int] | None = 255,
        *,
        allow_outside_root: bool = False,
        lazy_init: bool = False,
        **options: Any,
    ) -> None:
        if 'filter_cfg' in options:
            raise DataError(f'{type(self).__name__} takes no filter_cfg: all images are used; leave it out.')
        check_keys(type(self).__name__, 'data_prefix', data_prefix, self.default_prefix)
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix={**self.default_prefix, **(data_prefix or {})},
            lazy_init=True,  # the metainfo comes first: labels follow from it
            **options,
        )
        self.allow_outside_root = allow_outside_root
        self.img_suffix = (img_suffix,) if isinstance(img_suffix, str) else tuple(img_suffix)
        self.seg_map_suffix = seg_map_suffix
        given = {**label_map_metainfo(label_map, self.METAINFO), **(metainfo or {})}
        self._metainfo = resolve_metainfo(given, self.METAINFO, self.ann_file, self.form)
        self.label_table = self._make_table(label_map, ignore_index)
        if not lazy_init:
            self.full_init()

    def get_data_info(self, idx: int) -> dict:
        """The item, with the ``label_table`` that all items share."""
        return {**super().get_data_info(idx), 'label_table': self.label_table}

    def load_data_list(self) -> list[dict]:
        """List the images and their PNG files.

        Raises:
            MissingFileError: If the folder of the images is absent.
            DataError: If there is no image, or an image has no PNG.
        """
        img_dir, seg_dir = self.data_prefix['img'], self.data_prefix['seg']
        stems = dict(self.image_names())
        if not stems:
            raise DataError(
                f"'{img_dir}' has no image that ends with {' or '.join(self.img_suffix)}; check "
                "data_prefix['img'] and img_suffix."
            )
        with_seg = os.path.isdir(seg_dir)
        if not with_seg and not self.test_mode:
            raise MissingFileError(f"Folder '{seg_dir}' does not exist; check data_root and data_prefix['seg'].")
        known = set(files_below(seg_dir)) if with_seg else set()
        items = []
        for stem, suffix in stems.items():
            item = dict(img_path=file_path(self, 'img', stem + suffix), img_id=stem)
            if with_seg:
                item['seg_map_path'] = join_path(seg_dir, stem + self.seg_map_suffix)
                if stem + self.seg_map_suffix not in known:
                    raise DataError(
                        f"The image '{item['img_path']}' has no '{item['seg_map_path']}'; add it, check "
                        'seg_map_suffix, or leave the image out.'
                    )
            items.append(item)
        return items

    @property
    def lists_images(self) -> bool:
        """Whether ``ann_file`` says which images there are."""
        return bool(self.ann_file) and (not self.ann_file.endswith('.json') or 'images' in read_json(self.ann_file))

    def image_names(self) -> Iterator[tuple[str, str]]:
        """The images that ``ann_file`` lists, or else all in the folder: path below the folder without suffix, suffix.

        Raises:
            MissingFileError: If there is no such file or folder.
        """
        return self._listed() if self.lists_images else self._found(self.data_prefix['img'])

    def _listed(self) -> Iterator[tuple[str, str]]:
        if self.ann_file.endswith('.json'):
            names = self._names_in_json()
        elif os.path.isfile(self.ann_file):
            names = read_lines(self.ann_file)
        else:
            raise MissingFileError(f"Annotation file '{self.ann_file}' does not exist; check data_root and ann_file.")
        for name in filter(None, map(str.strip, names)):
            suffix = next((suffix for suffix in self.img_suffix if name.endswith(suffix)), '')
            yield (name.removesuffix(suffix), suffix) if suffix else (name, self.img_suffix[0])

    def _names_in_json(self) -> list[str]:
        images = read_json(self.ann_file)['images']
        if not isinstance(images, list):
            raise DataError(f"'images' of '{self.ann_file}' is a {type(images).__name__}; write a list of objects.")
        names = []
        for image in images:
            name = image.get('file_name') if isinstance(image, dict) else None
            if is_file_name(name):
                names.append(name)
            else:
                raise DataError(
                    f"The image {reprlib.repr(image)} in '{self.ann_file}' has no 'file_name' that names a file; "
                    'correct it.'
                )
        return names

    def _found(self, folder: str) -> Iterator[tuple[str, str]]:
        if not os.path.isdir(folder):
            raise MissingFileError(f"Folder '{folder}' does not exist; check data_root and data_prefix['img'].")
        for name in sorted(files_below(folder)):
            for suffix in self.img_suffix:
                if name.endswith(suffix):
                    yield name.removesuffix(suffix), suffix
                    break

    def _make_table(self, label_map: Mapping | None, ignore_index: int | Sequence[int] | None) -> np.ndarray:
        """``(largest value + 1,)`` int32: the label of each pixel value, ``IGNORED`` or ``UNKNOWN``."""
        classes = self._metainfo['classes']
        left_out = set(self.METAINFO.get('category_ids', ()))  # ids of classes that metainfo may leave out
        if label_map:
            label_of = {}
            for value, name in label_map.items():
                if name not in classes:
                    raise DataError(
                        f"label_map gives the value {value} the class '{name}', which is no class of the "
                        f'data set; {near_names(name, classes)} Void values belong into ignore_index.'
                    )
                label_of[int(value)] = classes.index(name)
            left_out = set()
        else:
            label_of = dict(zip(self._metainfo['category_ids'], range(len(classes))))
            if len(label_of) < len(classes):
                raise DataError(
                    f"Two of the classes of '{self.ann_file or 'metainfo'}' have one id; give each its own."
                )
            if self.ann_file.endswith('.json'):
                left_out |= {category['id'] for category in read_json(self.ann_file).get('categories', [])}
        ignored = {ignore_index} if isinstance(ignore_index, int) else set(ignore_index or ())
        where = f" in '{self.ann_file}'" if self.ann_file else ''
        for value in (*label_of, *ignored, *left_out):
            if not isinstance(value, int) or not 0 <= value <= LARGEST:
                raise DataError(
                    f'{reprlib.repr(value)} is no value of a pixel, which is a number from 0 to {LARGEST}; correct the '
                    f'ids of the categories{where}, label_map or ignore_index.'
                )
        both = sorted(ignored & label_of.keys())
        if both:
            raise DataError(
                f'The value {both[0]} is in ignore_index, but it is the class '
                f"'{classes[label_of[both[0]]]}', too; correct ignore_index or the ids of the classes{where}."
            )
        table = np.full(max(*label_of, *ignored, *left_out, 0) + 1, UNKNOWN, dtype=np.int32)
        table[sorted(ignored | left_out)] = IGNORED
        table[list(label_of)] = list(label_of.values())
        return table


def files_below(folder: str) -> Iterator[str]:
    """Paths of all files below a folder, relative to it, with slashes."""
    for parent, _, names in os.walk(folder, followlinks=True):
        below = Path(parent).relative_to(folder)
        for name in names:
            yield (below / name).as_posix()
