"""Recognises folders of binary masks: for each image a folder with a PNG for each object."""

import posixpath

import numpy as np
from PIL import Image

from mask2former.data_tools.custom.png_folders import PngSource

from .found import Entry, Found
from .instance_pngs import found_unnamed
from .json_kinds import JsonFiles
from .listing import Listing, folder_of, stem_of
from .png_pairs import sample
from .splits import bare_notes, group, listed_splits, split_of_folders

MASKS, IMAGES = ('masks', 'mask'), ('images', 'image')
SAMPLE = 8


def find(listing: Listing, files: JsonFiles) -> Found | None:
    """Recognise ``NAME/images/NAME.png`` with ``NAME/masks/*.png``, or an image NAME with ``masks/NAME/*.png``."""
    folders = {name: folder for name in listing.images for folder in _folders(listing, name)}
    masks = {
        name: [
            posixpath.join(folder, file) for file in listing.folders.get(folder, []) if file.lower().endswith('.png')
        ]
        for name, folder in folders.items()
    }
    inside = {mask for found in masks.values() for mask in found}
    masks = {name: found for name, found in masks.items() if name not in inside}
    checked = sample(sorted(inside), SAMPLE)
    if not checked or not all(_is_binary(listing, name) for name in checked):
        return None
    listed = listed_splits(listing, sorted(masks))
    rows = []
    for name, found in masks.items():
        image, paths = listing.path(name), tuple(map(listing.path, found))
        split = split_of_folders(name) or listed.get(name, '')
        rows.append((split, Entry(name, image, PngSource(image, masks=paths), paths)))
    splits = group(rows)
    where = posixpath.commonpath([folder_of(name) for name in inside]) or '.'
    bare = [name for name in listing.images if name not in masks and name not in inside]
    notes = ("Each mask is an object of the one class 'object'.", *bare_notes(bare))
    return found_unnamed(kind='mask folders', folder=where, listing=listing, splits=splits, notes=notes)


def _folders(listing: Listing, name: str) -> list[str]:
    """The folder of the masks of an image, if it has one; an empty one says that the image shows no object."""
    folder, stem = folder_of(name), stem_of(name)
    above = posixpath.dirname(folder)
    candidates = [posixpath.join(folder, stem), posixpath.join(folder, stem, 'masks')]
    for word in MASKS:
        if posixpath.basename(folder).lower() in IMAGES:
            if len(listing.folders[folder]) == 1 and folder != above:
                candidates.append(posixpath.join(above, word))
            candidates.append(posixpath.join(above, word, stem))
        split = posixpath.basename(folder)  # images/train/NAME.png, masks/train/NAME/
        candidates += [posixpath.join(folder, word, stem), posixpath.join(above, word, stem)]
        candidates.append(posixpath.join(posixpath.dirname(above), word, split, stem))
    return [one for one in dict.fromkeys(candidates) if one in listing.folders or (listing.root / one).is_dir()][:1]


def _is_binary(listing: Listing, name: str) -> bool:
    try:
        with Image.open(listing.path(name)) as image:
            values = np.asarray(image.convert('RGB') if len(image.getbands()) > 1 else image)
    except Exception:  # what cannot be decoded is refused when it is read
        return True
    return len(np.unique(values.reshape(-1, values.shape[2]) if values.ndim == 3 else values.ravel(), axis=0)) <= 2
