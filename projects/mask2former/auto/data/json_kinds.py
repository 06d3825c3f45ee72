"""What the JSON files of a folder are, by their content."""

import json
from collections.abc import Mapping
from typing import Any

from mask2former.errors import DataError

from .listing import Listing, folder_of

ALIKE = 3  # of a folder of many files whose first ones are of one kind, all are
MANY_FILES = ('LabelMe', 'Supervisely')  # formats with a file for each image


def kind_of(content: Any) -> str | None:
    """The kind of the content of a JSON file; None where it is none that is known."""
    if not isinstance(content, Mapping):
        return None
    if isinstance(content.get('shapes'), list) and 'imagePath' in content:
        return 'LabelMe'
    if isinstance(content.get('images'), list) and isinstance(content.get('annotations'), list):
        return _coco_kind(content['annotations'])
    if isinstance(content.get('objects'), list) and isinstance(content.get('size'), Mapping):
        return 'Supervisely'
    if isinstance(content.get('classes'), list) and all(
        isinstance(c, Mapping) and 'title' in c for c in content['classes']
    ):
        return 'Supervisely meta'
    regions = content.get('_via_img_metadata', content)
    if isinstance(regions, Mapping) and regions:
        entry = next(iter(regions.values()))
        if isinstance(entry, Mapping) and 'filename' in entry and 'regions' in entry:
            return 'VIA'
    return None


def _coco_kind(annotations: list) -> str | None:
    entries = [entry for entry in annotations if isinstance(entry, Mapping)]
    if any('segments_info' in entry for entry in entries):
        return 'COCO panoptic'
    if any(entry.get('segmentation') for entry in entries):
        return 'COCO instances'
    return 'COCO boxes' if any('bbox' in entry for entry in entries) else None


def _coco_fault(content: Any) -> str | None:
    """What keeps the content of a JSON file, which was meant to be COCO's, from being so."""
    if not isinstance(content, Mapping) or not {'images', 'annotations'} <= set(content):
        return None
    for key in ('images', 'annotations'):
        if not isinstance(content[key], list) or not content[key]:
            return f"its '{key}' must be a list with entries, but is {content[key]!r:.40}"
    return "none of its annotations is an object with 'segmentation' or 'segments_info'"


class JsonFiles:
    """The JSON files of a folder by their kind; each is read once.

    Attributes:
        of_kind: Their paths in the listing.
        contents: Of COCO's and VIA's files and Supervisely's meta.json.
        broken: What is wrong with those that are no JSON.
        faulty: What keeps others from being COCO's, as it seems they were meant to be.
    """

    def __init__(self, listing: Listing) -> None:
        self.of_kind: dict[str, list[str]] = {}
        self.contents: dict[str, Any] = {}
        self.broken: dict[str, DataError] = {}
        self.faulty: dict[str, DataError] = {}
        self._listing = listing
        by_folder: dict[str, list[str]] = {}
        for name in listing.ending('.json'):
            by_folder.setdefault(folder_of(name), []).append(name)
        for names in by_folder.values():
            kinds = {self._kind(name) for name in names[:ALIKE]}
            alike = len(kinds) == 1 and kinds <= set(MANY_FILES)
            kind = kinds.pop() if alike else None
            for name in names:
                self.of_kind.setdefault((kind if alike else self._kind(name)) or '', []).append(name)

    def _kind(self, name: str) -> str | None:
        if name in self.contents:
            return kind_of(self.contents[name])
        path = self._listing.path(name)
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            self.broken[name] = DataError(f"'{path}' is not valid JSON ({error}); correct it, or remove it.")
            return None
        kind = kind_of(content)
        if kind is None and (fault := _coco_fault(content)) is not None:
            self.faulty[name] = DataError(f"'{path}' has COCO's keys, but {fault}; correct it, or export it again.")
        if kind is not None and kind not in MANY_FILES:
            self.contents[name] = content
        return kind

    def check(self, others: bool) -> None:
        """Raise a ``DataError`` where a file is no JSON, as it may have been meant, and, unless there are ``others``,
        where one is faulty, which lists of images without annotations need not be."""
        for error in (*self.broken.values(), *(() if others else self.faulty.values())):
            raise error
