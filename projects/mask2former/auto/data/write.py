"""Writes what a task needs of annotated images, whatever form the annotations had; the images stay where they are.

::

    OUT/annotations/panoptic_{train,val}.json    panoptic_{train,val}/*.png
    OUT/annotations/instances_{train,val}.json
    OUT/{train,val}.txt                          semantic_{train,val}/*.png
    OUT/images/*                                 only where annotation files hold the images
"""

import functools
import hashlib
import posixpath
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mask2former.data_tools.custom.classes import add_class, id_of, with_colors
from mask2former.data_tools.custom.scene import Scene, instances_of_layers, paint
from mask2former.data_tools.resumable import resumable
from mask2former.errors import DataError
from mask2former.formats.files import link_or_copy, write_bytes, write_json, write_text
from mask2former.formats.images import write_image
from mask2former.formats.panoptic_png import write_id_map

from .found import Entry, Found, count, empty_note

_FAULTY_SHARE = 0.1  # of the images, which are left out; more of them are for a person to mend
VOID = 255  # of the class-id PNGs that are written
JSON_NAMES = dict(panoptic='panoptic', instance='instances')


class Written(NamedTuple):
    """Configs of the data sets that were written, and a line for each thing to know."""

    train: dict
    val: dict
    says: list[str]


def write_entries(
    found: Found, train: Sequence[Entry], val: Sequence[Entry], out: Path, task: str, jobs: int
) -> Written:
    """Convert the images that train and validate, and write the lists of them, which are there only if all is.

    Args:
        found: What was recognised.
        train: The images that train.
        val: The images that validate.
        out: The folder to write.
        task: 'panoptic', 'instance' or 'semantic'.
        jobs: Processes.

    Raises:
        MissingFileError: If a file is absent.
        DataError: If more than a tenth of the files are not as they must be; the message names one.
    """
    classes: Sequence[dict] = found.classes
    background = found.background if task != 'instance' else None
    if background is not None:
        classes = add_class(classes, background, isthing=False)
    elif task == 'instance':
        classes = [entry for entry in classes if entry['isthing']]
    if not classes:
        raise DataError(f"'{found.root}' has no class of things, so no instances can be learned; choose another task.")
    if task == 'semantic' and len(classes) > VOID:
        raise DataError(f"'{found.root}' has {len(classes)} classes; a class-id PNG has room for {VOID}.")
    categories = with_colors(found.classes if background is None else classes)
    entries = {'train': train, 'val': val}
    embedded = any(entry.image is None for entry in (*train, *val))
    if task != 'instance':
        _check_stems([*train, *val])
    function = functools.partial(
        _convert,
        read=found.read,
        meaning=found.meaning,
        categories={category['id']: category for category in categories},
        background=None if background is None else id_of(categories, background),
        task=task,
        out=out,
        images=out / 'images' if embedded else None,
    )
    settings = repr((found.read.__qualname__, found.meaning, categories, background, task))
    items = {
        f'{split}/{entry.name} {_version(entry, settings)}': (split, entry)
        for split, of_split in entries.items()
        for entry in of_split
    }
    keys = iter(items)
    with resumable(out / f'.{task}.jsonl', jobs) as convert:
        results = convert(function, items, 'images')
        rows = {split: [(entry, results[next(keys)]) for entry in of_split] for split, of_split in entries.items()}
        rows, faults = _without_faults(rows)
        root = out / 'images' if embedded else found.root
        if task == 'semantic':
            configs = {split: _write_list(out, root, split, of_split, classes) for split, of_split in rows.items()}
        else:
            kept = [category for category in categories if task == 'panoptic' or category['isthing']]
            configs = {split: _write_json(out, root, split, of_split, kept, task) for split, of_split in rows.items()}
    return Written(configs['train'], configs['val'], [*faults, *_says(found, rows, background)])


def _without_faults(rows: Mapping[str, list[tuple[Entry, dict]]]) -> tuple[dict[str, list], list[str]]:
    """The images that could be converted, and a line for each of the others, which are few.

    Raises:
        DataError: If they are more than a tenth, or all of a split.
    """
    kept = {split: [row for row in of_split if 'fault' not in row[1]] for split, of_split in rows.items()}
    faults = [result['fault'] for of_split in rows.values() for _, result in of_split if 'fault' in result]
    total = sum(len(of_split) for of_split in rows.values())
    if len(faults) > _FAULTY_SHARE * total or not all(kept[split] for split in rows if rows[split]):
        more = f' {len(faults) - 1} more of {total} images have faults, too.' if len(faults) > 1 else ''
        raise DataError(faults[0] + more)
    return kept, [f'Left out: {fault}' for fault in faults]


def _says(found: Found, rows: Mapping[str, list[tuple[Entry, dict]]], background: str | None) -> list[str]:
    results = [result for of_split in rows.values() for _, result in of_split]
    lines = []
    if background is not None:
        lines.append(f"Pixels without annotation are the stuff class '{background}', so that nothing is found there.")
    if found.look is None:  # else that has said so
        lines += empty_note(sum(result['empty'] for result in results))
    left_out = sum(result['left_out'] for result in results)
    if left_out:
        lines.append(f'{count(left_out, "annotation")} without area or class (points, lines, boxes) left out.')
    covered = sum(result['covered'] for result in results)
    if covered:
        lines.append(f'{count(covered, "segment")} wholly covered by others are left out.')
    return lines


def _convert(
    item: tuple[str, Entry],
    *,
    read: Callable[[Any, Any], Scene],
    meaning: Any,
    categories: Mapping[int, dict],
    background: int | None,
    task: str,
    out: Path,
    images: Path | None,
) -> dict:
    """Write the files of an entry, and return what the JSON files say of it, or its ``fault``."""
    split, entry = item
    try:
        scene = read(entry.source, meaning)
    except DataError as error:
        return dict(fault=str(error))
    result = dict(
        size=scene.size, segments=[], empty=int(not scene.layers), covered=0, left_out=scene.left_out
    )  # instances that the file has stay as they are
    if task == 'instance':
        instances = scene.instances if scene.instances is not None else instances_of_layers(scene, categories)
        result['segments'] = [one for one in instances if categories[one['category_id']]['isthing']]
    else:
        id_map, segments, result['covered'] = paint(scene, categories, background)
        png = posixpath.splitext(entry.name)[0] + '.png'
        if task == 'panoptic':
            write_id_map(out / 'annotations' / f'panoptic_{split}' / png, id_map)
            result['segments'] = segments
        else:
            places = {category_id: place for place, category_id in enumerate(categories)}
            labels = np.full(scene.size, VOID, np.uint8)  # (H, W)
            for segment in segments:
                labels[id_map == segment['id']] = places[segment['category_id']]
            write_image(out / f'semantic_{split}' / png, labels)
    if images is not None:
        if isinstance(scene.image, bytes):
            write_bytes(images / entry.name, scene.image)
        else:
            link_or_copy(scene.image, images / entry.name)
    return result


def _write_json(
    out: Path, root: Path, split: str, rows: Sequence[tuple[Entry, dict]], categories: Sequence[dict], task: str
) -> dict:
    """Write the JSON file of a split; returns the config of the data set."""
    images, annotations = [], []
    for image_id, (entry, result) in enumerate(rows, 1):
        height, width = result['size']
        images.append(dict(id=image_id, file_name=entry.name, height=height, width=width))
        if task == 'panoptic':
            png = posixpath.splitext(entry.name)[0] + '.png'
            annotations.append(dict(image_id=image_id, file_name=png, segments_info=result['segments']))
        else:
            annotations += [dict(one, image_id=image_id) for one in result['segments']]
    if task == 'instance':
        annotations = [dict(one, id=number) for number, one in enumerate(annotations, 1)]
    path = out / 'annotations' / f'{JSON_NAMES[task]}_{split}.json'
    write_json(path, dict(images=images, annotations=annotations, categories=list(categories)))
    seg = dict(seg=f'{out.resolve() / "annotations" / f"panoptic_{split}"}/') if task == 'panoptic' else {}
    return dict(
        type='CocoPanopticFormat' if task == 'panoptic' else 'CocoInstanceFormat',
        data_root=f'{root.resolve()}/',
        ann_file=str(path.resolve()),
        data_prefix=dict(img='', **seg),
    )


def _write_list(
    out: Path, root: Path, split: str, rows: Sequence[tuple[Entry, dict]], classes: Sequence[Mapping]
) -> dict:
    """Write the list of the images of a split; returns the config of the data set."""
    names = [entry.name for entry, _ in rows]
    return semantic_config(
        names, out / f'{split}.txt', root, '', f'{out.resolve() / f"semantic_{split}"}/', '.png',
        {place: entry['name'] for place, entry in enumerate(classes)}, VOID,
    )  # fmt: skip


def semantic_config(
    names: Sequence[str],
    ann_file: Path,
    root: Path,
    img: str,
    seg: str,
    seg_map_suffix: str,
    label_map: Mapping[int, str],
    ignore_index: int | Sequence[int] | None,
) -> dict:
    """The config of a semantic data set of some images, whose names below ``img`` are written to ``ann_file``.

    Raises:
        DataError: If a name cannot be a line of it.
    """
    wrong = next((name for name in names if not name.isprintable() or name != name.strip()), None)
    if wrong is not None:
        raise DataError(f"The image {wrong!r} of '{root}' has a name that no list of files can hold; rename it.")
    write_text(ann_file, ''.join(f'{name}\n' for name in names))
    return dict(
        type='SemanticPngFormat',
        data_root=f'{root.resolve()}/',
        ann_file=str(ann_file.resolve()),
        data_prefix=dict(img=img, seg=seg),
        img_suffix=sorted({posixpath.splitext(name)[1] for name in names}),
        seg_map_suffix=seg_map_suffix,
        label_map=dict(label_map),
        ignore_index=ignore_index,
    )


def _check_stems(entries: Sequence[Entry]) -> None:
    seen: dict[str, str] = {}
    for entry in entries:
        other = seen.setdefault(posixpath.splitext(entry.name)[0], entry.name)
        if other != entry.name:
            raise DataError(f"'{other}' and '{entry.name}' have the same name but for the suffix; rename one of them.")


def _version(entry: Entry, settings: str) -> str:
    """Changes with what the conversion of an entry depends on."""
    text = repr((settings, entry.source))
    for path in entry.files if entry.image is None else (entry.image, *entry.files):
        if path.is_file():
            stat = path.stat()
            text += f' {path} {stat.st_size} {stat.st_mtime_ns}'
    return hashlib.sha256(text.encode()).hexdigest()[:16]
