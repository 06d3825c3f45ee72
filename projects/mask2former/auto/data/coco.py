"""Recognises COCO's instance and panoptic files, with the habits of the tools that write them."""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mask2former.data_tools.custom.coco_instances import CocoMeaning, CocoSource
from mask2former.data_tools.custom.coco_instances import read_scene as read_instances
from mask2former.data_tools.custom.scene import Layer, Scene
from mask2former.errors import DataError
from mask2former.formats.files import write_json
from mask2former.formats.images import check_size, image_size
from mask2former.formats.panoptic_png import read_id_map, relabel
from mask2former.formats.rle import encode_mask
from mask2former.progress import ProgressBar

from .found import Entry, Found, count, describe, empty_note
from .json_kinds import JsonFiles
from .listing import Listing, folder_of
from .malformed import malformed
from .places import Places, place
from .splits import bare_notes, group, one_a_split

SIZE_FIX = 'correct the size in the file, or replace the image'


@dataclass(frozen=True)
class PanopticSource:
    """An image, its PNG of ids, its size as the JSON file says it, and what the ids are."""

    image: Path
    png: Path
    png_name: str
    size: tuple[int, int]
    segments: tuple[Mapping, ...]


@dataclass(frozen=True)
class CocoFile:
    """A JSON file that was read.

    Attributes:
        name: Its path below the root.
        split: Which split it says it is.
        images: Where its images are.
        pngs: Where its panoptic PNG files are; None of instances.
        same: Whether the file can be used as it is.
    """

    name: str
    split: str
    images: Places
    pngs: Places | None
    same: bool


def find(listing: Listing, files: JsonFiles) -> Found | None:
    """Recognise COCO's files; panoptic ones go before instances, as they say more.

    Raises:
        DataError: If a file is wrong, has boxes only, or names images that are not there.
    """
    panoptic, instances = (files.of_kind.get(f'COCO {form}', []) for form in ('panoptic', 'instances'))
    if not panoptic and not instances:
        boxes = files.of_kind.get('COCO boxes', [])
        if boxes:
            raise DataError(
                f"'{listing.path(boxes[0])}' has boxes only; masks cannot be learned from them: annotate polygons or "
                'masks, or export them.'
            )
        return None
    names, form = (panoptic, 'panoptic') if panoptic else (instances, 'instances')
    notes = []
    if panoptic and instances:
        notes.append(f"'{instances[0]}' is left alone, as '{panoptic[0]}' says more.")
    of_split = one_a_split(listing, names, f'COCO {form}', form)
    contents = {name: files.contents[name] for name in of_split.values()}
    classes, maps = _classes(listing, contents, form, notes)
    read: list[CocoFile] = []
    rows: list[tuple[str, Entry]] = []
    for split, name in of_split.items():
        with malformed('An entry', listing.path(name)):
            file, entries = _read(listing, name, split, contents[name], form, maps[name], notes)
        given = [(category['id'], category['name']) for category in contents[name]['categories']]
        same = file.same and given == [(entry['id'], entry['name']) for entry in classes]
        read.append(replace(file, same=same))
        rows += [(split, entry) for entry in entries]
    splits = group(rows)
    used = {entry.name for _, entry in rows}
    labels = {folder for file in read if file.pngs for folder in map(folder_of, file.pngs.of.values())}
    left = [name for name in listing.images if name not in used and folder_of(name) not in labels]
    notes += bare_notes(left)
    is_panoptic = form == 'panoptic'
    return Found(
        kind=f'COCO {form}',
        says=describe(f'COCO {form}', ' and '.join(repr(file.name) for file in read), splits, classes),
        root=listing.root,
        splits=splits,
        classes=tuple(classes),
        read=read_panoptic if is_panoptic else read_instances,
        meaning=() if is_panoptic else CocoMeaning(),
        task='panoptic' if is_panoptic else 'instance',
        background=None if is_panoptic else 'background',
        notes=tuple(notes),
        direct=partial(_direct, listing=listing, read=read, splits=splits, classes=classes, panoptic=is_panoptic),
        look=_check_headers,
    )


def read_panoptic(source: PanopticSource, meaning: Any) -> Scene:
    """Read the segments of an image.

    Raises:
        MissingFileError: If a file is absent.
        DataError: If one cannot be decoded, the sizes differ, or the PNG has an id that the JSON file lacks.
    """
    size = image_size(source.image)
    id_map = read_id_map(source.png)
    check_size(f"'{source.png}'", id_map.shape, source.image, size, SIZE_FIX)
    ids = [segment['id'] for segment in source.segments]
    number_map, seen = relabel(id_map, ids, np.arange(1, len(ids) + 1, dtype=np.int32), str(source.png))
    layers = [
        Layer(encode_mask(number_map == number), segment['category_id'], number, bool(segment.get('iscrowd')))
        for number, segment in enumerate(source.segments, 1)
        if seen[number - 1]
    ]
    return Scene(source.image, size, layers)


def _classes(
    listing: Listing, contents: Mapping[str, Mapping], form: str, notes: list[str]
) -> tuple[list[dict], dict[str, dict[Any, int]]]:
    """The classes of all files together, and for each file the id of each of its category ids."""
    classes: dict[str, dict] = {}
    maps: dict[str, dict[Any, int]] = {}
    for name, content in contents.items():
        with malformed('A category', listing.path(name)):
            maps[name] = _class_ids(listing, name, content, form, classes, notes)
    return list(classes.values()), maps


def _class_ids(
    listing: Listing, name: str, content: Mapping, form: str, classes: dict[str, dict], notes: list[str]
) -> dict[Any, int]:
    """The id of each category id of a file, with its classes added to those of the others."""
    path = listing.path(name)
    used = {segment.get('category_id') for segment in _segments(content, form)}
    parents = {c.get('supercategory') for c in content.get('categories') or () if isinstance(c, Mapping)}
    ids: dict[Any, int] = {}
    for category in content.get('categories') or ():
        if not isinstance(category, Mapping) or 'id' not in category or not isinstance(category.get('name'), str):
            raise DataError(f"The category {reprlib.repr(category)} of '{path}' needs an 'id' and a 'name'; add it.")
        if form == 'panoptic' and 'isthing' not in category:
            raise DataError(
                f"The category '{category['name']}' of '{path}' has no 'isthing'; write 1 for a thing, 0 for stuff."
            )
        if form == 'instances' and category['name'] in parents and category['id'] not in used:
            # Roboflow's export has the name of the project as a category of no object.
            notes.append(f"'{category['name']}' of '{name}' is no class: it only holds the others.")
            continue
        own = classes.setdefault(category['name'], _class(category, classes, form))
        ids[category['id']] = own['id']
    unknown = used - set(ids)
    if unknown:
        raise DataError(
            f"'{path}' has annotations of category_id {sorted(unknown, key=str)[0]!r}, which no category has; add "
            'the category or correct the id.'
        )
    return ids


def _class(category: Mapping, classes: Mapping[str, dict], form: str) -> dict:
    taken = {entry['id'] for entry in classes.values()}
    given = category['id']
    free = given if isinstance(given, int) and given not in taken else max((*taken, 0)) + 1
    color = category.get('color')
    usable = isinstance(color, list) and len(color) == 3 and all(isinstance(c, int) for c in color)
    return dict(
        id=free,
        name=category['name'],
        isthing=int(bool(category['isthing'])) if form == 'panoptic' else 1,
        **(dict(color=color) if usable else {}),
    )


def _segments(content: Mapping, form: str) -> list[Mapping]:
    entries = [entry for entry in content['annotations'] if isinstance(entry, Mapping)]
    if form == 'instances':
        return [entry for entry in entries if entry.get('segmentation')]
    return [
        segment for entry in entries for segment in entry.get('segments_info') or () if isinstance(segment, Mapping)
    ]


def _read(
    listing: Listing, name: str, split: str, content: Mapping, form: str, ids: Mapping[Any, int], notes: list[str]
) -> tuple[CocoFile, list[Entry]]:
    """The entries of a file, and whether it can be used as it is."""
    path = listing.path(name)
    images = {image['id']: image for image in content['images']}
    file_names = [image['file_name'] for image in images.values()]
    of_image: dict[Any, list[Mapping]] = {image_id: [] for image_id in images}
    bare = 0
    for annotation in content['annotations']:
        if annotation['image_id'] not in of_image:
            raise DataError(
                f"An annotation of '{path}' has the image_id {annotation['image_id']!r}, which no image has; add "
                'the image or remove the annotation.'
            )
        if form == 'instances' and not annotation.get('segmentation'):
            bare += 1
            continue
        of_image[annotation['image_id']].append(annotation)
    if len(images) < len(content['images']):
        raise DataError(f"Two images of '{path}' have the same id; give each its own.")
    places = place(listing, name, file_names, split)
    if bare:
        notes.append(f"{count(bare, 'annotation')} of '{name}' without a mask are left out.")
    pngs, without = None, 0
    if form == 'panoptic':
        several = next((image_id for image_id, found in of_image.items() if len(found) > 1), None)
        if several is not None:
            raise DataError(f"Image {several} of '{path}' has two annotations; put all its segments into one.")
        png_names = [found[0]['file_name'] for found in of_image.values() if found]
        pngs = place(listing, name, png_names, split, labels=True)
    entries = []
    for image_id, image in images.items():
        where = places.of[image['file_name']]
        image_path = listing.path(where)
        size = _size(image, image_path)
        found = of_image[image_id]
        if pngs is None:
            renamed = tuple({**one, 'category_id': ids[one['category_id']]} for one in found)
            entries.append(Entry(where, image_path, CocoSource(image_path, size, renamed), ()))
        elif found:
            segments = tuple({**one, 'category_id': ids[one['category_id']]} for one in found[0]['segments_info'])
            png = pngs.of[found[0]['file_name']]
            entries.append(
                Entry(where, image_path, PanopticSource(image_path, listing.path(png), png, size, segments),
                      (listing.path(png),))
            )  # fmt: skip
        else:
            without += 1
    if without:
        notes.append(f"{count(without, 'image')} of '{name}' without an annotation are left out.")
    same = not bare and not without and all(isinstance(image.get('height'), int) for image in images.values())
    return CocoFile(name, split, places, pngs, same), entries


def _size(image: Mapping, path: Path) -> tuple[int, int]:
    height, width = image.get('height'), image.get('width')
    return (height, width) if isinstance(height, int) and isinstance(width, int) else image_size(path, decode=False)


def _check_headers(found: Found, entries: Sequence[Entry], jobs: int) -> Found:
    for entry in ProgressBar(entries, desc='image sizes'):
        assert entry.image is not None
        check_size(
            'The entry in the JSON file',
            entry.source.size,
            entry.image,
            image_size(entry.image, decode=False),
            SIZE_FIX,
        )
    empty = sum(isinstance(entry.source, CocoSource) and not entry.source.annotations for entry in entries)
    return replace(found, notes=(*found.notes, *empty_note(empty)))


def _direct(
    task: str,
    split: str,
    entries: Sequence[Entry],
    out: Path,
    *,
    listing: Listing,
    read: Sequence[CocoFile],
    splits: Mapping[str, Sequence[Entry]],
    classes: Sequence[dict],
    panoptic: bool,
) -> dict | None:
    """The files as they are where the entries are those of one of them, else a list of the entries in the same form."""
    if task != ('panoptic' if panoptic else 'instance'):
        return None
    kind = 'CocoPanopticFormat' if panoptic else 'CocoInstanceFormat'
    root = f'{listing.root.resolve()}/'
    for file in read:
        own = splits.get(file.split, ())
        folders = [file.images.folder, *([file.pngs.folder] if file.pngs else [])]
        if file.same and None not in folders and list(own) == list(entries):
            prefix = dict(zip(('img', 'seg'), (f'{folder}/' if folder else '' for folder in folders)))
            return dict(type=kind, data_root=root, ann_file=file.name, data_prefix=prefix)
    images, annotations = [], []
    for image_id, entry in enumerate(entries, 1):
        height, width = entry.source.size
        images.append(dict(id=image_id, file_name=entry.name, height=height, width=width))
        if panoptic:
            segments = list(entry.source.segments)
            annotations.append(dict(image_id=image_id, file_name=entry.source.png_name, segments_info=segments))
        else:
            annotations += [dict(one, image_id=image_id) for one in entry.source.annotations]
    if not panoptic:
        annotations = [dict(one, id=number) for number, one in enumerate(annotations, 1)]
    path = out / 'annotations' / f'{"panoptic" if panoptic else "instances"}_{split}.json'
    write_json(path, dict(images=images, annotations=annotations, categories=list(classes)))
    prefix = dict(img='', **(dict(seg='') if panoptic else {}))
    return dict(type=kind, data_root=root, ann_file=str(path.resolve()), data_prefix=prefix)
