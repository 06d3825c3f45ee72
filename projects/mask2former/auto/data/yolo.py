"""Recognises YOLO's segmentation format: a text file for each image, a polygon a line, and names in a data.yaml."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mask2former.data_tools.custom.scene import Scene
from mask2former.errors import DataError
from mask2former.formats.images import image_size

from .class_list import find_list
from .found import Entry, Found
from .json_kinds import JsonFiles
from .listing import Listing, folder_of, stem_of
from .objects import found_objects, other_images
from .shapes import Labels, Shape, draw
from .splits import group, listed_splits, split_of_folders

SAMPLE = 50  # text files that are read to tell what they are
SCALARS = (str, int, float)  # names in YAML
MOST_CLASSES = 10**6


@dataclass(frozen=True)
class YoloSource:
    """An image and its text file, None where it has none: it shows no object."""

    image: Path
    text: Path | None


def find(listing: Listing, files: JsonFiles) -> Found | None:
    """Recognise YOLO's text files beside the images, or below ``labels`` as the images are below ``images``.

    Raises:
        DataError: If data.yaml is not valid, or there are boxes only.
    """
    texts = {image: text for image in listing.images for text in _text_names(image) if text in listing.known}
    texts = {image: text for image, text in texts.items() if is_yolo(listing.path(text))}
    yaml_name, content = _yaml(listing)
    if not texts:
        if content is not None:
            raise DataError(
                f"'{listing.path(yaml_name)}' is of YOLO's format, but no image has a text file of polygons: images go "
                "below a folder 'images', and their text files below 'labels' beside it."
            )
        return None
    sample = list(texts.values())[:: max(len(texts) // SAMPLE, 1)]
    rows = [row for text in sample for row in _rows(listing.path(text))]
    if rows and all(len(row) == 5 for row in rows):
        raise DataError(
            f"'{listing.path(sample[0])}' has boxes only (5 numbers a line); masks are learned from polygons: export "
            "the data as 'YOLO segmentation'."
        )
    names, source = _names(listing, yaml_name, content)
    if names is None:
        seen = {int(row[0]) for text in texts.values() for row in _rows(listing.path(text))}
        names, source = {value: str(value) for value in sorted(seen)}, 'no file, so they are numbers'
    folders = {folder_of(image) for image in texts}
    listed = listed_splits(listing, [image for image in listing.images if folder_of(image) in folders])
    entries = []
    for image in listing.images:
        split = split_of_folders(image) or listed.get(image, '')
        if folder_of(image) in folders:
            text = listing.path(texts[image]) if image in texts else None
            path = listing.path(image)
            entries.append((split, Entry(image, path, YoloSource(path, text), (text,) if text else ())))
    classes = tuple(dict(id=value, name=name, isthing=1) for value, name in names.items())
    splits = group(entries)
    return found_objects(
        kind='YOLO',
        where=repr(posixpath.commonpath(list(map(folder_of, texts.values()))) or '.'),
        listing=listing,
        splits=splits,
        classes=classes,
        read=read_scene,
        meaning=Labels({str(value): value for value in names}),
        notes=(f'Names of classes are from {source}.', *other_images(listing, splits)),
    )


def read_scene(source: YoloSource, meaning: Labels) -> Scene:
    """Draw the polygons of a text file: a class number, then x and y in turn as shares of the image's sides.

    Raises:
        DataError: If the image cannot be decoded, or a line is wrong.
    """
    size = image_size(source.image)
    shapes = []
    for number, row in enumerate(_rows(source.text) if source.text else [], 1):
        values = row[1:]
        if len(row) != 5 and len(values) % 2:
            raise DataError(f"Line {number} of '{source.text}' has half a point; correct it.")
        if any(not -1 <= value <= 2 for value in values):
            raise DataError(
                f"Line {number} of '{source.text}' has values that are no shares of a side, 0 to 1; correct it."
            )
        kind = 'polygon' if len(values) >= 6 else ''  # five numbers are a box
        points = (value * size[1 - place % 2] for place, value in enumerate(values))
        shapes.append(Shape(str(int(row[0])), kind, tuple(points)))
    return draw(source.image, size, shapes, source.text or source.image, meaning)


def is_yolo(path: Path) -> bool:
    """Whether a text file holds lines of numbers that begin with a class number; empty ones do."""
    try:
        return all(len(row) >= 5 and row[0] >= 0 and row[0] == int(row[0]) for row in _rows(path))
    except (DataError, OverflowError):
        return False


def _rows(path: Path) -> list[list[float]]:
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
        return [[float(value) for value in line.split()] for line in lines if line.strip()]
    except ValueError as error:
        raise DataError(f"'{path}' is no text file of numbers ({error}); correct it.") from None


def _text_names(image: str) -> list[str]:
    """Where the text file of an image may be: ``images`` in its path becomes ``labels``, or beside it."""
    folder, name = posixpath.split(image)
    text = f'{stem_of(name)}.txt'
    parts = folder.split('/')
    result = [posixpath.join(folder, text)]
    for place in range(len(parts) - 1, -1, -1):
        if parts[place].lower() in ('images', 'image', 'img'):
            result.insert(0, posixpath.join(*parts[:place], 'labels', *parts[place + 1 :], text))
            break
    return result


def _yaml(listing: Listing) -> tuple[str, Any]:
    for name in listing.ending('.yaml', '.yml'):
        path = listing.path(name)
        try:
            content = yaml.safe_load(path.read_text(encoding='utf-8'))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            reason = ' '.join(str(error).split())[:150]
            raise DataError(f"'{path}' is not valid YAML ({reason}); correct it, or remove it.") from None
        if (
            isinstance(content, Mapping)
            and 'names' in content
            and ('train' in content or 'val' in content or 'nc' in content)
        ):
            return name, content
    return '', None


def _names(listing: Listing, yaml_name: str, content: Any) -> tuple[dict[int, str] | None, str]:
    """The names of the classes by their number, and where they are from."""
    if content is None:
        found = find_list(listing)
        return (dict(found.names), f"'{found.path}'") if found else (None, '')
    names, path = content['names'], listing.path(yaml_name)
    listed = enumerate(names) if isinstance(names, list) else names.items() if isinstance(names, Mapping) else ()
    pairs = list(listed)
    try:
        # str() of a list may be long: a few lines of YAML can nest it into 10 ** 10.
        result = {int(number): str(name) for number, name in pairs if isinstance(name, SCALARS)}
        if len(result) < len(pairs) or not all(0 <= number < MOST_CLASSES for number in result):
            result = {}
    except (TypeError, ValueError, OverflowError):
        result = {}
    count = content.get('nc')
    if not result or len(set(result.values())) < len(result):
        raise DataError(f"The 'names' of '{path}' are no list of different names; correct them.")
    if isinstance(count, int) and count != len(result):
        raise DataError(
            f"'{path}' says another number of classes (nc) than its {len(result)} names; correct one of them."
        )
    return result, f"'{yaml_name}'"
