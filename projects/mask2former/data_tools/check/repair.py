"""Writes a clean copy of a split's annotations."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as mask_utils

from mask2former.datasets.semantic_png import IGNORED, UNKNOWN
from mask2former.errors import ConfigError, DataError
from mask2former.formats.class_png import read_class_ids
from mask2former.formats.files import link_or_copy, write_atomically, write_json, write_text
from mask2former.formats.panoptic_png import read_id_map_strictly, write_id_map
from mask2former.formats.rle import box_of, check_segmentation, closed_polygons, from_segmentation

from .kinds import KINDS
from .report import SplitReport
from .source import Entry, Source, is_id


def write_clean_copy(split: SplitReport, folder: str | Path) -> tuple[dict[str, str], int]:
    """Write the annotation file, and of panoptic and semantic data the PNGs, without what is wrong.

    The images stay where they are. Those with missing or corrupt files, with other sizes than annotated or with a copy
    in another split are left out, and those of panoptic data without an annotation.

    COCO's formats: segments without pixels, of unknown categories or listed twice are left out; their pixels, and those
    that no segment has, become void. Areas and boxes are those of the masks. Of categories with one id the first stays.

    Semantic data: a list of the images, a JSON file with the ``categories`` if the present one is a JSON file, else a
    text file of names; values without a meaning become void. Where no value is void (``ignore_index=None``), or none
    that the file's pixels can hold, the image is left out; so is one whose name no line of a text file can hold, or
    whose path leads out of the folder.

    Args:
        split: Of a check that read the pixels.
        folder: Gets a file of the annotation file's name, and a folder for the PNGs.

    Returns:
        tuple: The settings of the data set that use the copy (``ann_file`` and, with PNGs, ``data_prefix.seg``), and
        how many images it has.

    Raises:
        ConfigError: The copy would overwrite the file that was checked.
        DataError: It is a data set of videos.
    """
    source, folder = split.source, Path(folder).absolute()
    if 'videos' in source.raw:
        raise DataError(f"--fix makes no clean copy of videos: correct '{source.ann_file}' by hand.")
    dropped = {problem.image for problem in split.problems if KINDS[problem.kind].drops_image}
    entries = [
        entry
        for image_id, entry in source.entries.items()
        if image_id not in dropped and (source.form != 'panoptic' or entry.map_path is not None)
    ]
    path = folder / (Path(source.ann_file).name or f'{source.name}.txt')
    maps = folder / f'{path.stem}_maps'
    if source.ann_file and path.resolve() == Path(source.ann_file).resolve():
        raise ConfigError(f"'{path}' is the file that was checked: give another folder for the clean copy.")
    settings = dict(ann_file=str(path))
    if source.form != 'instance':
        maps.mkdir(parents=True, exist_ok=True)
        settings['data_prefix.seg'] = f'{maps}/'
    if source.form == 'semantic':
        return settings, _write_semantic(source, entries, path, maps)
    annotations: list[dict] = []
    for entry in entries:
        if source.form == 'panoptic':
            annotations.append(_clean_panoptic(entry, source, maps, len(annotations)))
        else:
            annotations += _clean_instances(entry, source, len(annotations))
    content = {**source.raw, 'images': [entry.image for entry in entries], 'annotations': annotations}
    if 'categories' in source.raw:
        content['categories'] = _clean_categories(source.raw['categories'])
    write_json(path, content)
    return settings, len(entries)


def _clean_categories(rows: Any) -> Any:
    kept: dict[Any, dict] = {}
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict) or not is_id(row.get('id')):
            return rows
        kept.setdefault(row['id'], row)
    return list(kept.values())


def _clean_panoptic(entry: Entry, source: Source, folder: Path, number: int) -> dict:
    """Write the PNG of an image; returns its annotation."""
    assert entry.map_path is not None
    ids = read_id_map_strictly(entry.map_path)  # (H, W)
    segments: list[dict] = []
    kept = np.zeros_like(ids)
    for segment in entry.segments:
        id_ = segment.get('id')
        if not isinstance(id_, int) or id_ <= 0 or source.index_of(segment) < 0:
            continue
        mask = ids == id_
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows) or any(other['id'] == id_ for other in segments):
            continue
        kept[mask] = id_
        box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]  # xywh
        segments.append({**segment, 'area': int(mask.sum()), 'bbox': [int(value) for value in box]})
    name = f'{Path(entry.map_path).stem}.png'
    if (folder / name).exists():  # the files came from several folders
        name = f'{number}_{name}'
    write_id_map(folder / name, kept)
    return dict(image_id=entry.id, file_name=name, segments_info=segments)


def _clean_instances(entry: Entry, source: Source, count: int) -> list[dict]:
    """The annotations of an image, with ids from ``count + 1`` on."""
    assert entry.size is not None  # entries without are refused
    width, height = entry.size
    annotations: list[dict] = []
    for segment in entry.segments:
        segmentation = segment.get('segmentation')
        if source.index_of(segment) < 0 or not segmentation:
            continue
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
        id_ = count + len(annotations) + 1
        annotations.append({**segment, 'id': id_, 'segmentation': segmentation, 'area': area, 'bbox': box_of(rle)})
    return annotations


def _write_semantic(source: Source, entries: Sequence[Entry], path: Path, folder: Path) -> int:
    """Write the list of the images and, below the same folders as these have, their PNGs; returns their number."""
    names = []
    for entry in entries:
        name = entry.image['file_name']
        if not name.isprintable() or name != name.strip():
            continue
        if entry.map_path is None or _write_class_ids(entry.map_path, source, folder):
            names.append(name)
    if path.suffix == '.json':
        write_json(path, {**source.raw, 'images': [dict(file_name=name) for name in names]})
    else:
        write_text(path, ''.join(f'{name}\n' for name in names))
    return len(names)


def _write_class_ids(path: str, source: Source, folder: Path) -> bool:
    """Write the clean copy of one PNG; returns whether there is one."""
    target = folder / Path(path).relative_to(source.folders['seg'])
    if not target.resolve().is_relative_to(folder.resolve()):
        return False
    values = read_class_ids(path)  # (H, W)
    wrong = source.labels_of(values) == UNKNOWN
    if not wrong.any():
        link_or_copy(path, target, copy=True)
        return True
    void = np.flatnonzero(source.label_table == IGNORED)
    void = void[void <= np.iinfo(values.dtype).max]  # what the pixels can hold
    if not len(void):
        return False
    clean = Image.fromarray(np.where(wrong, 255 if 255 in void else void[-1], values).astype(values.dtype))
    with Image.open(path) as image:
        if (palette := image.getpalette()) is not None:
            clean.putpalette(palette)  # makes it a palette image of the same indices
        write_atomically(target, lambda part: clean.save(part, format=image.format))
    return True
