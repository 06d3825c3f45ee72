"""Finds out which format the annotations of a folder, or of a file, have."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mask2former.errors import DataError, MissingFileError
from mask2former.formats.files import read_json

from . import class_pngs, coco, cvat, labelme, mask_folders, supervisely, via, voc, yolo
from .found import Found, count
from .json_kinds import MANY_FILES, JsonFiles, kind_of
from .listing import FOR_LABELS, Listing, folder_of

Finder = Callable[[Listing, JsonFiles], Found | None]
# The first ones say all of themselves; folders of PNG files are told by what is in them, and only where the others are
# silent on those files.
FINDERS: tuple[Finder, ...] = (
    coco.find,
    labelme.find,
    supervisely.find,
    via.find,
    cvat.find,
    voc.find,
    yolo.find,
    mask_folders.find,
)
PNG_FINDERS: tuple[Finder, ...] = (class_pngs.find,)
ARCHIVES = ('.zip', '.tar', '.tgz', '.gz', '.7z', '.rar')
ANNOTATION_FOLDERS = ('annotations', 'annotation', 'anns', 'ann', 'labels', 'json')


def recognise(path: Path) -> Found:
    """Recognise the annotations of a data set; nothing is written.

    Args:
        path: A folder, or an annotation file: then the others are left alone.

    Raises:
        MissingFileError: If there is no such path.
        DataError: If nothing is recognised, or several formats are, or a file is wrong; the message says what was seen.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"'{path}' does not exist; give the folder of your images and annotations.")
    if path.is_file():
        return _in_file(path)
    listing = Listing(path)
    if not listing.files:
        raise DataError(f"The folder '{path}' is empty; put images and annotations there, or give another one.")
    found = _find_all(listing)
    if len(found) > 1:
        seen = ' and '.join(one.says.split(':')[0] for one in found)
        raise DataError(
            f"'{path}' has {len(found)} formats, {seen}: give the path of the file or folder of one of them."
        )
    if not found:
        raise _nothing(listing)
    return _with_unused_labels(found[0], listing)


def _with_unused_labels(found: Found, listing: Listing) -> Found:
    """Say which folders of images, by their names, may hold annotations that are left alone."""
    entries = [entry for of_split in found.splits.values() for entry in of_split]
    used = {folder_of(entry.name) for entry in entries}
    used |= {folder_of(path.relative_to(listing.root).as_posix()) for entry in entries for path in entry.files}
    folders = sorted({folder_of(name) for name in listing.images} - used)
    notes = [
        f"Images in '{folder}' may be labels, too: left alone, as {found.kind} was found."
        for folder in folders
        if FOR_LABELS.search(folder)
    ]
    return replace(found, notes=(*found.notes, *notes[:5]))


def _find_all(listing: Listing) -> list[Found]:
    files = JsonFiles(listing)
    found = [one for one in (find(listing, files) for find in FINDERS) if one is not None]
    if not found:
        for find in PNG_FINDERS:
            one = find(listing, files)
            if one is not None:
                return [one]
    files.check(others=bool(found))
    return found


def _in_file(path: Path) -> Found:
    suffix = path.suffix.lower()
    if suffix in ARCHIVES:
        raise DataError(f"'{path}' is an archive; unpack it and give the folder.")
    if suffix not in ('.json', '.xml', '.yaml', '.yml'):
        raise DataError(f"'{path}' is no annotation file that is known; give a JSON, XML or YAML file, or the folder.")
    kind = kind_of(read_json(path)) if suffix == '.json' else None
    if kind in MANY_FILES:
        raise DataError(f"'{path}' is one of many files of {kind}; give the folder of all of them, '{path.parent}'.")
    root = path.parent
    if root.name.lower() in ANNOTATION_FOLDERS and root.resolve().parent != root.resolve():
        root = root.parent
    whole = Listing(root)
    name = path.relative_to(root).as_posix()
    others = [other for other in whole.ending('.json', '.xml', '.yaml', '.yml') if other != name]
    found = _find_all(whole.without(others))
    if not found:
        raise DataError(f"'{path}' is no annotation file that is known; give another one, or the folder.")
    return found[0]


def _nothing(listing: Listing) -> DataError:
    """Say what was looked for and what was seen."""
    looked = (
        'JSON files of COCO, LabelMe, VIA or Supervisely, XML files of CVAT, text files of YOLO, folders of Pascal '
        'VOC, PNG files of class ids or of object numbers, folders of masks'
    )
    images, root = listing.images, listing.root
    if not images:
        suffixes = sorted({Path(name).suffix.lower() or 'no suffix' for name in listing.files})
        others = f'{count(len(listing.files), "other file")} ({", ".join(suffixes[:6])})'
        return DataError(
            f"'{root}' has no image, but {others}; give the folder that holds images and annotations ({looked})."
        )
    return DataError(
        f"'{root}' has {count(len(images), 'image')}, such as '{images[0]}', but no annotations that are known "
        f'({looked}); add them, or give the folder that holds both.'
    )
