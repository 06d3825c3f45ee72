"""Writes a clean copy of semantic data: a list of images and the PNG files they need."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mask2former.formats.class_png import read_class_ids

from .inspect_semantic import read_labels
from .source import Entry, Source


def write_clean_maps(source: Source, entries: Sequence[Entry], path: Path, folder: Path) -> int:
    """Write the list of the images and their PNGs; values without a meaning become void in these.

    A PNG without such values is copied as it is. Where no value is void (``ignore_index=None``), or none that the
    file's pixels can hold, there is nothing to put in their place, and the image is left out; so is one whose name no
    line of a text file can hold, or whose path leads out of the folder.

    Args:
        source (Source): The split.
        entries (Sequence[Entry]): The images that have a good file and, unless the split has no maps, a good map.
        path (Path): The list: a JSON file with the ``categories`` of the present one, if that is a JSON file, else a
            text file of names, one a line.
        folder (Path): Gets the PNGs, below the same folders as the images have.

    Returns:
        int: How many images the list has.
    """
    names = []
    for entry in entries:
        name = entry.image['file_name']
        if not name.isprintable() or name != name.strip():
            continue
        if entry.map_path is not None and not _write_map(entry, source, folder):
            continue
        names.append(name)
    if path.suffix == '.json':
        path.write_text(json.dumps({**source.raw, 'images': [dict(file_name=name) for name in names]}))
    else:
        path.write_text(''.join(f'{name}\n' for name in names), encoding='utf-8')
    return len(names)


def _write_map(entry: Entry, source: Source, folder: Path) -> bool:
    """Write the clean copy of one PNG; returns whether there is one."""
    target = folder / Path(entry.map_path).relative_to(source.folders['seg'])
    if not target.resolve().is_relative_to(folder.resolve()):
        return False
    values = read_class_ids(entry.map_path)  # (H, W)
    wrong = read_labels(values, source.label_table) == -2
    target.parent.mkdir(parents=True, exist_ok=True)
    if not wrong.any():
        shutil.copyfile(entry.map_path, target)
        return True
    void = _void_value(source.label_table, values.dtype)
    if void is None:
        return False
    clean = Image.fromarray(np.where(wrong, void, values).astype(values.dtype))
    with Image.open(entry.map_path) as image:
        if image.mode == 'P':
            clean.putpalette(image.getpalette())  # makes it a palette image of the same indices
    clean.save(target)
    return True


def _void_value(label_table: np.ndarray, dtype: np.dtype) -> int | None:
    """A value that is void and fits: 255 where it is one, else the largest."""
    void = np.flatnonzero(label_table == -1)
    void = void[void <= np.iinfo(dtype).max]
    if not len(void):
        return None
    return 255 if 255 in void else int(void[-1])
