"""Recognises LabelMe's files: a JSON file for each image."""

import posixpath
from pathlib import PureWindowsPath

from mask2former.data_tools.custom.labelme import (
    LabelMeaning,
    LabelMeSource,
    image_name,
    label_classes,
    read_header,
    read_scene,
)
from mask2former.errors import DataError

from .class_list import VOID_NAMES
from .found import Entry, Found
from .json_kinds import JsonFiles
from .listing import Listing, folder_of
from .objects import found_objects, other_images
from .splits import group, listed_splits, split_of_folders

VOID = (*VOID_NAMES, '_background_')


def find(listing: Listing, files: JsonFiles) -> Found | None:
    """Recognise LabelMe's files.

    Raises:
        DataError: If one is malformed or has no image, or nothing is drawn.
    """
    names = files.of_kind.get('LabelMe', [])
    if not names:
        return None
    headers = {name: read_header(listing.path(name)) for name in names}
    used = {shape['label'] for header in headers.values() for shape in header['shapes']}
    void = sorted(used & set(VOID))
    classes = tuple(label_classes({listing.path(name): header for name, header in headers.items()}, None, (), void))
    rows = []
    for name, header in headers.items():
        path = listing.path(name)
        folder, named = folder_of(name), PureWindowsPath(header['imagePath'])
        places = [posixpath.normpath(posixpath.join(folder, one)) for one in (named.as_posix(), named.name)]
        image = next((place for place in places if place in listing.known), None) or listing.find(
            named.name, near=folder
        )
        if image is None and not header['imageData']:
            raise DataError(
                f"The image '{header['imagePath']}' of '{path}' is not below '{listing.root}'; put it beside the file."
            )
        source = LabelMeSource(path, listing.path(image) if image else None)
        own = image or image_name(path, header).relative_to(listing.root).as_posix()
        rows.append((own, Entry(own, source.image, source, (path,))))
    listed = listed_splits(listing, sorted({own for own, _ in rows}))
    splits = group([(split_of_folders(own) or listed.get(own, ''), entry) for own, entry in rows])
    notes = [f"The label '{label}' counts as void, by its name." for label in void]
    return found_objects(
        kind='LabelMe',
        where=repr(folder_of(names[0]) or '.'),
        listing=listing,
        splits=splits,
        classes=classes,
        read=read_scene,
        meaning=LabelMeaning({**{entry['name']: entry['id'] for entry in classes}, **dict.fromkeys(void)}),
        notes=(*notes, *other_images(listing, splits)),
    )
