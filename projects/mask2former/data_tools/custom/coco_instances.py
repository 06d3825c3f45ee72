"""Reads COCO's instance annotations of custom data, and paints them into one map without overlaps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mask2former.errors import DataError
from mask2former.formats.files import inside, read_json
from mask2former.formats.images import check_size, image_size
from mask2former.formats.rle import areas_of, box_of, encode_segmentation

from .scene import SIZE_FIX, Layer, Scene, smaller_on_top


@dataclass(frozen=True)
class CocoSource:
    """An image with its size as the JSON file says it, and its annotations."""

    image: Path
    size: tuple[int, int]
    annotations: tuple[Mapping, ...]


@dataclass(frozen=True)
class CocoMeaning:
    """The stuff among the category ids of the JSON file."""

    stuff: tuple[int, ...] = ()


def read_file(ann_file: str | Path, images: str | Path) -> tuple[list[dict], dict[Any, CocoSource]]:
    """Read an instance file of COCO.

    Returns:
        ``categories``, and a source for each image id.

    Raises:
        MissingFileError: If there is no such file.
        DataError: If it is no instance file, an entry is wrong, or one names a file outside of ``images``.
    """
    content = read_json(str(ann_file))
    for key in ('images', 'annotations', 'categories'):
        if not content.get(key):
            raise DataError(f"'{ann_file}' has no '{key}'; give an instance file of COCO's format.")
    for key, what, needed in (
        ('categories', 'category', ('id', 'name')),
        ('images', 'image', ('id', 'file_name', 'height', 'width')),
    ):
        for entry in content[key]:
            lacking = [name for name in needed if name not in entry]
            if lacking:
                raise DataError(f"The {what} {entry} of '{ann_file}' has no '{lacking[0]}'; add it.")
    known = {category['id'] for category in content['categories']}
    annotations: dict[Any, list] = {image['id']: [] for image in content['images']}
    if len(annotations) < len(content['images']):
        raise DataError(f"Two images of '{ann_file}' have the same id; give each its own.")
    for annotation in content['annotations']:
        name = f"The annotation {annotation.get('id')} of '{ann_file}'"
        if annotation.get('image_id') not in annotations:
            raise DataError(f'{name} has the image_id {annotation.get("image_id")!r}, which no image has; remove it.')
        if annotation.get('category_id') not in known:
            raise DataError(
                f'{name} has the category_id {annotation.get("category_id")!r}, which no category has; '
                'add the category or correct the id.'
            )
        if not annotation.get('segmentation'):
            raise DataError(
                f"{name} has no 'segmentation'; add its polygons or RLE (a box is not enough), or remove it."
            )
        annotations[annotation['image_id']].append(annotation)
    return content['categories'], {
        image['id']: CocoSource(
            inside(images, image['file_name']), (image['height'], image['width']), tuple(annotations[image['id']])
        )
        for image in content['images']
    }


def as_classes(categories: Sequence[Mapping], stuff: Sequence[str], ann_file: str | Path) -> list[dict]:
    """The classes: things, but for those named as stuff.

    Raises:
        DataError: If a name is of no category.
    """
    names = [category['name'] for category in categories]
    unknown = [name for name in stuff if name not in names]
    if unknown:
        raise DataError(
            f"'{unknown[0]}' of --stuff is no category of '{ann_file}', which has {names}; correct the name."
        )
    return [
        {key: value for key, value in category.items() if key in ('id', 'name', 'supercategory', 'color')}
        | dict(isthing=int(category['name'] not in stuff))
        for category in categories
    ]


def read_scene(source: CocoSource, meaning: CocoMeaning) -> Scene:
    """Read the annotations of an image: smaller masks over larger ones, crowds below all others.

    A panoptic map has one segment a pixel. COCO's own converter refuses overlaps; in photographs the smaller one is
    mostly the one in front.

    Raises:
        MissingFileError: If the image is absent.
        DataError: If it cannot be decoded, or it or an RLE has another size than the JSON file says.
    """
    size = image_size(source.image)
    check_size(f"The entry of '{source.image.name}' in the JSON file", source.size, source.image, size, SIZE_FIX)
    layers = [
        Layer(
            encode_segmentation(annotation['segmentation'], size, str(source.image)),
            annotation['category_id'],
            index,
            bool(annotation.get('iscrowd')),
        )
        for index, annotation in enumerate(source.annotations)
    ]
    instances = [
        _instance(annotation, layer.rle)
        for annotation, layer in zip(source.annotations, layers)
        if annotation['category_id'] not in meaning.stuff
    ]
    return Scene(source.image, size, smaller_on_top(layers), instances)


def _instance(annotation: Mapping, rle: dict) -> dict:
    """The annotation as it is, without its ids, which are given again; what it may lack is added."""
    kept = {key: value for key, value in annotation.items() if key not in ('id', 'image_id')}
    return {'iscrowd': 0, 'area': areas_of([rle])[0], 'bbox': box_of(rle), **kept}
