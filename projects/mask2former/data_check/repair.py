"""Writes a clean copy of a split's annotations."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as mask_utils

from .check import SplitReport
from .inspect_image import read_ids, to_rle
from .source import Entry

# An image with one of these has no annotation that can be trusted, or is shown to the training though it is tested on.
DROPS_IMAGE = {'missing image', 'missing map', 'corrupt image', 'corrupt map', 'wrong size', 'in train and val',
               'no annotation'}


def write_clean_copy(split: SplitReport, folder: str | Path) -> tuple[Path, int]:
    """Write the JSON file, and for panoptic data the PNGs, without what is wrong; the images stay where they are.

    Images with missing or corrupt files, with other sizes than annotated or with a copy in the val set are left out.
    Segments without pixels, of unknown categories or listed twice are left out; their pixels, and those that no
    segment has, become void. Areas and boxes are those of the masks.

    Args:
        split (SplitReport): Of a check that read the pixels.
        folder (str | Path): Gets ``<name>.json`` and the folder ``<name>/`` of the PNGs.

    Returns:
        tuple[Path, int]: The JSON file and how many images it has.
    """
    source = split.source
    dropped = {problem.image for problem in split.problems if problem.kind in DROPS_IMAGE}
    path = Path(folder) / Path(source.ann_file).name
    if path.resolve() == Path(source.ann_file).resolve():
        raise ValueError(f"'{path}' is the file that was checked: give another folder for the clean copy.")
    maps = path.with_suffix('')
    (maps if source.panoptic else path.parent).mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for image_id, entry in source.entries.items():
        if image_id in dropped:
            continue
        images.append(entry.image)
        if source.panoptic:
            annotations.append(_clean_map(entry, source.categories, maps))
        else:
            annotations += _clean_masks(entry, source.categories, len(annotations))
    path.write_text(json.dumps({**source.raw, 'images': images, 'annotations': annotations}))
    return path, len(images)


def _clean_map(entry: Entry, categories: dict, folder: Path) -> dict:
    ids = read_ids(entry.map_path)  # (H, W)
    segments, kept = [], np.zeros_like(ids)
    for segment in entry.segments:
        id_ = segment.get('id')
        mask = ids == id_
        if not id_ or segment.get('category_id') not in categories or any(s['id'] == id_ for s in segments):
            continue
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            continue
        kept[mask] = id_
        box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]  # xywh
        segments.append({**segment, 'area': int(mask.sum()), 'bbox': [int(value) for value in box]})
    rgb = np.stack([kept & 255, kept >> 8 & 255, kept >> 16], axis=-1).astype(np.uint8)  # (H, W, 3)
    name = Path(entry.map_path).name
    Image.fromarray(rgb).save(folder / name)
    return dict(image_id=entry.image['id'], file_name=name, segments_info=segments)


def _clean_masks(entry: Entry, categories: dict, count: int) -> list[dict[str, Any]]:
    annotations = []
    for segment in entry.segments:
        if segment.get('category_id') not in categories or not segment.get('segmentation'):
            continue
        try:
            rle = to_rle(segment['segmentation'], entry.image['height'], entry.image['width'])
            area = int(mask_utils.area(rle))
        except Exception:  # it was reported as malformed
            continue
        if area and list(rle['size']) == [entry.image['height'], entry.image['width']]:
            annotations.append({**segment, 'id': count + len(annotations) + 1, 'area': area,
                                'bbox': mask_utils.toBbox(rle).tolist()})
    return annotations
