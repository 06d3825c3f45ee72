"""Where the files are that an annotation file names."""

import posixpath
import re
import reprlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from mask2former.errors import DataError
from mask2former.formats.coco_values import is_file_name
from mask2former.formats.files import leaves_folder

from .listing import FOR_LABELS, Listing, folder_of, stem_of
from .splits import WORDS, split_word

SAMPLE = 64


@dataclass(frozen=True)
class Places:
    """Where each named file is.

    Attributes:
        of: The path below the root by the name.
        folder: The one to which all names are relative; None where there is none.
    """

    of: dict[str, str]
    folder: str | None


def place(listing: Listing, ann_file: str, names: Sequence[str], split: str, labels: bool = False) -> Places:
    """Find the files that an annotation file names: below one folder, or else by their names alone.

    Args:
        listing: All files.
        ann_file: The annotation file, below the root.
        names: As it writes them.
        split: Of the annotation file; where several files have a name, that of the same split is meant.
        labels: Whether they are panoptic PNG files, and not images.

    Raises:
        DataError: If one is not there, or there are several of them.
    """
    path, what = listing.path(ann_file), 'panoptic PNG files' if labels else 'images'
    wrong = [name for name in names if not is_file_name(name)]
    if wrong:
        raise DataError(f"'{path}' has the file name {reprlib.repr(wrong[0])}; write the path of a file.")
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise DataError(f"'{path}' names the file '{twice}' twice; leave one of them out.")
    here = folder_of(ann_file)
    near = [here, posixpath.join(here, 'images'), '', 'images']
    if labels:
        near.insert(0, posixpath.join(here, stem_of(ann_file)))
    folders = list(dict.fromkeys([*near, *_all_folders(listing)]))
    sample = names[:: max(len(names) // SAMPLE, 1)]
    known = listing.known

    def hits(folder: str) -> tuple[int, bool, int]:
        found = sum(not leaves_folder(name) and posixpath.join(folder, name) in known for name in sample)
        parts = [part.lower().rstrip('0123456789') for part in folder.split('/')]
        of_split = max((2 * (WORDS.get(part) == split) or int(split_word(part) == split) for part in parts), default=0)
        return found, bool(FOR_LABELS.search(folder)) == labels, of_split if split else 0

    best = max(folders, key=hits)
    of = {name: posixpath.join(best, name) for name in names if not leaves_folder(name)}
    if len(of) == len(names) and all(name in known for name in of.values()):
        return Places(of, best)
    found = {
        name: listing.find(name, folders=(best, here), near=best)
        or listing.find(_original(name), folders=(best, here), near=best)
        for name in names
    }
    lost = [name for name, where in found.items() if where is None]
    if lost:
        raise DataError(
            f"{len(lost)} of the {len(names)} {what} that '{path}' names are not below '{listing.root}', such as "
            f"'{lost[0]}': put them there, or leave them out of the file."
        )
    twice = next((where for where, times in Counter(found.values()).items() if times > 1), None)
    if twice is not None:
        several = [name for name, where in found.items() if where == twice]
        raise DataError(
            f"'{path}' names '{several[0]}' and '{several[1]}', but below '{listing.root}' there is only '{twice}': "
            'put both there.'
        )
    return Places({name: where for name, where in found.items() if where is not None}, None)


def _original(name: str) -> str:
    """The file that Label Studio was given: it puts eight digits before the names of uploads, and names files of its
    server's disk by an address."""
    _, _, path = name.rpartition('?d=')
    return re.sub('^[0-9a-f]{8}-', '', posixpath.basename(unquote(path) if '?d=' in name else name))


def _all_folders(listing: Listing) -> list[str]:
    result: dict[str, None] = {}
    for folder in listing.folders:
        while folder:
            result.setdefault(folder)
            folder = posixpath.dirname(folder)
    return sorted(result)
