"""Writes files in COCO's panoptic and instance formats. A file is complete or absent, never half-written."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as mask_utils
from scipy import ndimage

from mask2former.rle import json_rle

from .transforms.id_map import id_colours


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file under another name first, so that an interrupted run leaves none."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    part.write_bytes(content)
    part.replace(path)


def write_json(path: str | Path, content: Any) -> None:
    """Write a JSON file without spaces."""
    write_bytes(path, json.dumps(content, separators=(',', ':')).encode('utf-8'))


def write_image(path: str | Path, image: np.ndarray, flags: Sequence[int] = ()) -> None:
    """Write an image in the format that the path ends with.

    Args:
        path (str | PathLike): Where to; its folder is made.
        image (ndarray): ``(H, W)`` uint8 or uint16, or ``(H, W, 3)`` uint8 in the order B, G, R.
        flags (Sequence[int]): Of ``cv2.imencode``.
    """
    _, encoded = cv2.imencode(Path(path).suffix, image, list(flags))
    write_bytes(path, encoded.tobytes())


def write_id_map(path: str | Path, id_map: np.ndarray) -> None:
    """Write ``(H, W)`` segment ids below 2**24 as COCO's panoptic PNG: R + 256 G + 65536 B; 0 is void."""
    write_image(path, id_colours(id_map)[..., ::-1])


def segments_of(id_map: np.ndarray, category_ids: Mapping[int, int], crowd: Sequence[int] = ()) -> list[dict]:
    """The ``segments_info`` of a map: ``id, category_id, area, bbox, iscrowd`` of every id that has pixels.

    Args:
        id_map (ndarray): ``(H, W)`` integer, 0 is void.
        category_ids (Mapping[int, int]): Category of each id of the map.
        crowd (Sequence[int]): The ids of crowds.
    """
    ids, inverse, areas = np.unique(id_map, return_inverse=True, return_counts=True)
    boxes = ndimage.find_objects(inverse.reshape(id_map.shape) + 1)
    return [
        dict(
            id=segment_id,
            category_id=category_ids[segment_id],
            area=area,
            bbox=[columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
            iscrowd=int(segment_id in crowd),
        )
        for segment_id, area, (rows, columns) in zip(ids.tolist(), areas.tolist(), boxes)
        if segment_id
    ]


def instances_of(masks: np.ndarray, category_ids: Sequence[int]) -> list[dict]:
    """COCO's instance annotations, without ``id`` and ``image_id``: masks as compressed RLE, empty ones left out.

    Args:
        masks (ndarray): ``(N, H, W)`` bool.
        category_ids (Sequence[int]): N.
    """
    if not len(masks):
        return []
    rles = mask_utils.encode(np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8))
    # One by one: pycocotools 2.0.11 fails at the areas of more than 255.
    areas, boxes = [int(mask_utils.area(rle)) for rle in rles], mask_utils.toBbox(rles).tolist()
    return [
        dict(category_id=category_id, area=area, bbox=box, iscrowd=0, segmentation=json_rle(rle))
        for category_id, rle, area, box in zip(category_ids, rles, areas, boxes)
        if area
    ]
