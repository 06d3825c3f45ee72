"""Images with a PNG each whose values are the numbers of objects."""

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import ndimage

from mask2former.data_tools.custom.png_folders import Meaning, PngSource, read_scene

from .found import Entry, Found
from .listing import Listing, folder_of
from .objects import found_objects
from .png_pairs import Pair

NAMED = re.compile('inst|object|nuclei|cells', re.I)
THING = dict(id=1, name='object', isthing=1)
MANY = 4  # objects at least in the fullest image
VARIES = 1.3  # the fullest image has so many times the objects of the emptiest one


def are_instances(maps: Sequence[np.ndarray], folder: str) -> bool:
    """Whether maps ``(H, W)`` hold numbers of objects and not classes.

    They do where the folder is called so, or where nearly each value is one connected region and the number of values
    differs from image to image, which they fill from 1 on.
    """
    numbers = [[value for value in np.unique(ids).tolist() if value] for ids in maps]
    if NAMED.search(folder) and any(numbers):
        return True
    most, least = max(map(len, numbers)), min(map(len, numbers))
    if most < MANY or most < VARIES * least or any(values != list(range(1, len(values) + 1)) for values in numbers):
        return False
    regions = sum(ndimage.label(ids == value)[1] for ids, values in zip(maps, numbers) for value in values[:64])
    return regions <= 1.1 * sum(len(values[:64]) for values in numbers)


def found(
    listing: Listing, pairs: Sequence[Pair], splits: Mapping[str, Sequence[Entry]], notes: Sequence[str]
) -> Found:
    """What is known of such images."""
    entries = {
        split: tuple(
            Entry(one.name, one.image, PngSource(one.source.image, instances=one.source.semantic), one.files)
            for one in of_split
        )
        for split, of_split in splits.items()
    }
    folder = posixpath.commonpath([folder_of(pair.png) for pair in pairs]) or '.'
    return found_unnamed(
        kind='instance PNGs',
        folder=folder,
        listing=listing,
        splits=entries,
        notes=(
            'Values are objects, not classes, as each is one region and their number varies; a classes.txt with the '
            'names of classes, one a line, says otherwise.',
            *notes,
        ),
    )


def found_unnamed(
    kind: str, folder: str, listing: Listing, splits: Mapping[str, tuple[Entry, ...]], notes: Iterable[str]
) -> Found:
    """What is known of images whose objects are of no named class."""
    meaning = Meaning({1: True}, thing=1)
    return found_objects(
        kind, repr(folder), listing, splits, (THING,), read=read_scene, meaning=meaning, task='panoptic', notes=notes
    )
