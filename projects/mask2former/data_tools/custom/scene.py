"""An annotated image as layers that are painted over one another, and what COCO's formats say of it."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pycocotools import mask as mask_utils

from mask2former.formats.panoptic_png import ids_near_colors, segments_of
from mask2former.formats.rle import areas_of, box_of, decode_mask, json_rle

# What to do where an annotation has another size than its image.
SIZE_FIX = 'give each mask the size of its image'


@dataclass(frozen=True)
class Layer:
    """A mask and what it shows.

    Attributes:
        rle: Compressed run-length code of the image's size.
        category_id: None is void.
        instance: Layers of one thing class with the same value are one instance. Of a stuff class all layers
            are one segment, whatever it is.
        iscrowd: Whether it is a group of things.
    """

    rle: dict
    category_id: int | None
    instance: Hashable = None
    iscrowd: bool = False


@dataclass
class Scene:
    """An image with its annotation.

    Attributes:
        image: The image file, or its content.
        size: ``(H, W)``.
        layers: The lowest first.
        instances: COCO's annotations of the things; made of the layers where None.
        left_out: How many shapes could not become a segment.
    """

    image: Path | bytes
    size: tuple[int, int]
    layers: list[Layer]
    instances: list[dict] | None = None
    left_out: int = 0


def paste(patch: np.ndarray, left: int, top: int, size: tuple[int, int]) -> np.ndarray:
    """``(H, W)`` bool: a mask ``(h, w)`` with its upper left pixel at a place, cut off at the sides."""
    rows = slice(max(top, 0), max(min(top + patch.shape[0], size[0]), 0))
    columns = slice(max(left, 0), max(min(left + patch.shape[1], size[1]), 0))
    result = np.zeros(size, dtype=bool)
    result[rows, columns] = patch[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return result


def smaller_on_top(layers: Sequence[Layer]) -> list[Layer]:
    """The layers by area, the largest first; crowds lie below all others. Equal ones keep their order."""
    areas = areas_of([layer.rle for layer in layers])
    order = sorted(range(len(layers)), key=lambda index: (not layers[index].iscrowd, -areas[index]))
    return [layers[index] for index in order]


def paint(scene: Scene, categories: Mapping[int, dict], background: int | None) -> tuple[np.ndarray, list[dict], int]:
    """Paint the layers, each over those before it.

    Args:
        scene: The image.
        categories: ``isthing`` and ``color`` of each category id.
        background: Category of the pixels that no layer has; None leaves them void.

    Returns:
        ``(H, W)`` segment ids, 0 is void, near the colour of their class; COCO's ``segments_info`` of them; and
        how many segments are wholly covered by others and therefore not there.
    """
    numbers, crowds = {}, set()  # a segment's key: its number, from 1
    if background is not None:
        numbers[background, None] = 1
    number_map = np.full(scene.size, len(numbers), dtype=np.int32)  # (H, W)
    for layer in scene.layers:
        number = 0
        if layer.category_id is not None:
            number = numbers.setdefault(_key(layer.category_id, layer, categories), len(numbers) + 1)
            if layer.iscrowd:
                crowds.add(number)
        x, y, w, h = map(int, box_of(layer.rle))
        box = slice(y, y + h), slice(x, x + w)
        number_map[box][decode_mask(layer.rle)[box]] = number
    colors = [categories[category_id]['color'] for category_id, _ in numbers]
    ids = np.array([0, *ids_near_colors(colors, np.random.default_rng(0))])  # the same image gives the same file
    id_map = ids[number_map]
    category_ids = {segment_id: category_id for segment_id, (category_id, _) in zip(ids[1:].tolist(), numbers)}
    infos = segments_of(id_map, category_ids, {int(ids[number]) for number in crowds})
    covered = len(numbers) - len(infos) - (background is not None and not (number_map == 1).any())
    return id_map, infos, covered


def instances_of_layers(scene: Scene, categories: Mapping[int, dict]) -> list[dict]:
    """COCO's annotations of the things, without ``id`` and ``image_id``: their whole masks, also where covered."""
    groups: dict[tuple, list[Layer]] = {}
    for layer in scene.layers:
        if layer.category_id is not None and categories[layer.category_id]['isthing']:
            groups.setdefault(_key(layer.category_id, layer, categories), []).append(layer)
    annotations = []
    for layers in groups.values():
        rle = mask_utils.merge([layer.rle for layer in layers])
        [area] = areas_of([rle])
        if area:
            first = dict(category_id=layers[0].category_id, area=area, bbox=box_of(rle))
            annotations.append({**first, 'iscrowd': int(layers[0].iscrowd), 'segmentation': json_rle(rle)})
    return annotations


def _key(category_id: int, layer: Layer, categories: Mapping[int, dict]) -> tuple:
    return category_id, (layer.instance, layer.iscrowd) if categories[category_id]['isthing'] else None
