"""Writes a clean copy of a split's annotations."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from mask2former.errors import ConfigError
from mask2former.formats.panoptic_png import read_id_map_strictly, write_id_map
from mask2former.formats.rle import check_segmentation, closed_polygons, from_segmentation

from .repair_semantic import write_clean_maps
from .report import SplitReport
from .source import Entry, Source, is_id

# An image with one of these has no annotation that can be trusted, or is shown to the training though it is tested on.
DROPS_IMAGE = {
    'missing image',
    'missing map',
    'corrupt image',
    'corrupt map',
    'lossy map',
    'no class ids',
    'wrong size',
    'in train and val',
}
# What only a person can decide.
STAYS = {
    'malformed category',
    'category name twice',
    'isthing missing',
    'classes unusable',
    'classes differ',
    'category ids differ',
}


def write_clean_copy(split: SplitReport, folder: str | Path) -> tuple[dict[str, str], int]:
    """Write the annotation file, and of panoptic and semantic data the PNGs, without what is wrong.

    The images stay where they are. Those with missing or corrupt files, with other sizes than annotated or with a copy
    in the val set are left out, and those of panoptic data without an annotation.

    COCO's formats: segments without pixels, of unknown categories or listed twice are left out; their pixels, and those
    that no segment has, become void. Areas and boxes are those of the masks. Of categories with one id the first stays.
    Semantic data: see :func:`~mask2former.data_tools.check.repair_semantic.write_clean_maps`.

    Args:
        split (SplitReport): Of a check that read the pixels.
        folder (str | Path): Gets a file of the annotation file's name, and a folder for the PNGs.

    Returns:
        tuple[dict[str, str], int]: The settings of the data set that use the copy (``ann_file`` and, with PNGs,
        ``data_prefix.seg``), and how many images it has.

    Raises:
        ConfigError: The copy would overwrite the file that was checked.
    """
    source, folder = split.source, Path(folder).absolute()
    dropped = {problem.image for problem in split.problems if problem.kind in DROPS_IMAGE}
    entries = [
        entry
        for image_id, entry in source.entries.items()
        if image_id not in dropped and (source.form != 'panoptic' or entry.map_path is not None)
    ]
    path = folder / (Path(source.ann_file).name or f'{source.name}.txt')
    maps = folder / f'{path.stem}_maps'
    if source.ann_file and path.resolve() == Path(source.ann_file).resolve():
        raise ConfigError(f"'{path}' is the file that was checked: give another folder for the clean copy.")
    folder.mkdir(parents=True, exist_ok=True)
    settings = dict(ann_file=str(path))
    if source.form != 'instance':
        maps.mkdir(exist_ok=True)
        settings['data_prefix.seg'] = f'{maps}/'
    if source.form == 'semantic':
        return settings, write_clean_maps(source, entries, path, maps)
    annotations = []
    for entry in entries:
        if source.form == 'panoptic':
            annotations.append(_clean_map(entry, source, maps, len(annotations)))
        else:
            annotations += _clean_masks(entry, source, len(annotations))
    content = {**source.raw, 'images': [entry.image for entry in entries], 'annotations': annotations}
    if 'categories' in source.raw:
        content['categories'] = _clean_categories(source.raw['categories'])
    path.write_text(json.dumps(content))
    return settings, len(entries)


def _clean_categories(rows: Any) -> Any:
    kept = {}
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict) or not is_id(row.get('id')):
            return rows
        kept.setdefault(row['id'], row)
    return list(kept.values())


def _known(segment: dict, source: Source) -> bool:
    return is_id(segment.get('category_id')) and segment['category_id'] in source.categories


def _clean_map(entry: Entry, source: Source, folder: Path, number: int) -> dict:
    ids = read_id_map_strictly(entry.map_path)  # (H, W)
    segments, kept = [], np.zeros_like(ids)
    for segment in entry.segments:
        id_ = segment.get('id')
        if not isinstance(id_, int) or id_ <= 0 or not _known(segment, source) or any(s['id'] == id_ for s in segments):
            continue
        mask = ids == id_
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            continue
        kept[mask] = id_
        box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]  # xywh
        segments.append({**segment, 'area': int(mask.sum()), 'bbox': [int(value) for value in box]})
    name = f'{Path(entry.map_path).stem}.png'
    if (folder / name).exists():  # the files came from several folders
        name = f'{number}_{name}'
    write_id_map(folder / name, kept)
    return dict(image_id=entry.id, file_name=name, segments_info=segments)


def _clean_masks(entry: Entry, source: Source, count: int) -> list[dict[str, Any]]:
    annotations = []
    width, height = entry.size
    for segment in entry.segments:
        if not _known(segment, source) or not segment.get('segmentation'):
            continue
        segmentation = segment['segmentation']
        try:
            check_segmentation(segmentation, height, width)
            rle = from_segmentation(segmentation, height, width)
            mask_utils.decode(rle)
        except Exception:  # it was reported as malformed
            continue
        area = int(mask_utils.area(rle))
        if not area or list(rle['size']) != [height, width]:
            continue
        if isinstance(segmentation, list):
            segmentation = [polygon for polygon in closed_polygons(segmentation) if len(polygon) % 2 == 0]
        annotations.append(
            {
                **segment,
                'id': count + len(annotations) + 1,
                'segmentation': segmentation,
                'area': area,
                'bbox': mask_utils.toBbox(rle).tolist(),
            }
        )
    return annotations
