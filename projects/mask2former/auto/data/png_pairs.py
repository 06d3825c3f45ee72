"""Folders of images and of PNG files of ids for them, told by their names and by what the PNG files hold."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mask2former.errors import DataError

from .listing import FOR_LABELS, Listing, folder_of, stem_of

LOSSLESS = ('.png', '.bmp', '.tif', '.tiff', '.gif')
SAMPLE = 3  # files of a folder that say what its files are
FLAT = 0.75  # share of pixels that equal their right neighbour, from which on an image is a map of labels
FEW = 8  # values: so few are labels, however they lie


@dataclass(frozen=True)
class Pair:
    """An image and its PNG, below the root."""

    image: str
    png: str


def find_pairs(listing: Listing) -> list[Pair]:
    """Images with a PNG of labels each: of the same name in another folder, or with one and the same ending after it.

    Raises:
        DataError: If there are maps of labels without images, or labels that were saved as JPEG.
    """
    stems: dict[str, dict[str, str]] = {}
    for name in listing.images:
        stems.setdefault(folder_of(name), {})[stem_of(name)] = name
    maps = {folder: names for folder in stems if (names := _label_maps(listing, folder))}
    pairs: list[Pair] = []
    lonely = []
    for folder, pngs in maps.items():
        others = [other for other in stems if other != folder and (other not in maps or _named(folder, other))]
        best = max(((_match(pngs, stems[other]), other) for other in others), key=lambda one: _rank(folder, *one),
                   default=({}, ''))[0]  # fmt: skip
        if not best and len(pngs) * 2 <= len(listing.folders[folder]):
            best = _match(pngs, _photos(listing, folder, set(pngs.values())))
        pairs += [Pair(image, png) for image, png in best.items()]
        if not best and FOR_LABELS.search(folder):
            lonely.append(folder)
    if not pairs and lonely:
        raise DataError(
            f"'{listing.path(lonely[0])}' has PNG files of labels, but there are no images of the same names below "
            f"'{listing.root}'; add them."
        )
    if not pairs:
        _refuse_jpegs(listing, stems)
    return _one_an_image(listing, pairs)


def _one_an_image(listing: Listing, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs by their images: labels of ids go before the same in colours, which are for looking at."""
    of_folder: dict[str, list[Pair]] = {}
    for pair in pairs:
        of_folder.setdefault(folder_of(pair.png), []).append(pair)
    colored = {folder for folder, found in of_folder.items() if looks_like_colors(listing.path(found[0].png))}
    result: dict[str, Pair] = {}
    for pair in sorted(pairs, key=lambda pair: (folder_of(pair.png) in colored, pair.image)):
        other = result.setdefault(pair.image, pair)
        if other is not pair and (folder_of(pair.png) in colored) == (folder_of(other.png) in colored):
            raise DataError(
                f"'{listing.path(other.png)}' and '{pair.png}' are labels of the same image; give a folder with one "
                'kind of labels, or join them with tools/dataset_converters/pngs_to_panoptic.py.'
            )
    return sorted(result.values(), key=lambda pair: pair.image)


def looks_like_labels(path: object) -> bool:
    """Whether an image is a map of labels: of one channel or a palette, in flat regions or of few values."""
    try:
        with Image.open(str(path)) as image:
            if image.mode not in ('1', 'L', 'P', 'I', 'I;16', 'I;16B'):
                return False
            values = np.asarray(image)
    except Exception:  # what cannot be decoded is refused when it is read
        return False
    return values.ndim == 2 and values.size > 0 and _flat(values)


def looks_like_colors(path: object) -> bool:
    """Whether an image is a map of labels in colours."""
    try:
        with Image.open(str(path)) as image:
            if image.mode not in ('RGB', 'RGBA'):
                return False
            values = np.asarray(image.convert('RGB')).astype(np.int32) @ np.array([65536, 256, 1])
    except Exception:
        return False
    return values.size > 0 and _flat(values)


def _flat(values: np.ndarray) -> bool:
    if values.shape[1] > 1 and (values[:, 1:] == values[:, :-1]).mean() >= FLAT:
        return True
    return len(np.unique(values)) <= FEW


def _label_maps(listing: Listing, folder: str) -> dict[str, str]:
    """The stems and paths of the maps of labels in a folder; nothing where the first ones are none."""
    names = [name for name in listing.folders[folder] if name.lower().endswith(LOSSLESS)]
    marked = [name for name in names if FOR_LABELS.search(stem_of(name))]
    for group in (names, marked):
        sample = group[:: max(len(group) // SAMPLE, 1)][: SAMPLE + 1]
        paths = [listing.path(posixpath.join(folder, name)) for name in sample]
        labels = sum(looks_like_labels(path) for path in paths)
        colors = sum(looks_like_colors(path) for path in paths) if not labels and FOR_LABELS.search(folder) else 0
        if sample and max(labels, colors) * 2 > len(sample):
            return {stem_of(name): posixpath.join(folder, name) for name in group}
    return {}


def _photos(listing: Listing, folder: str, pngs: set[str]) -> dict[str, str]:
    paths = (posixpath.join(folder, name) for name in listing.folders[folder])
    images = set(listing.images)
    return {stem_of(path): path for path in paths if path in images and path not in pngs}


def _named(labels: str, images: str) -> bool:
    """Whether, of two folders of flat images, the names say which is which."""
    return bool(FOR_LABELS.search(labels)) and not FOR_LABELS.search(images)


def _match(pngs: dict[str, str], images: dict[str, str]) -> dict[str, str]:
    """The PNG of each image, the same text following the stem of all images; empty where most have no image."""
    endings = {''}
    for stem in list(pngs)[:: max(len(pngs) // SAMPLE, 1)]:
        prefix = next((stem[:end] for end in range(len(stem), 0, -1) if stem[:end] in images), None)
        if prefix is not None:
            endings.add(stem[len(prefix) :])
    found = [
        {images[stem[: len(stem) - len(ending)]]: png for stem, png in pngs.items()
         if stem.endswith(ending) and stem[: len(stem) - len(ending)] in images}
        for ending in sorted(endings)
    ]  # fmt: skip
    best = max(found, key=len)
    return best if len(best) * 2 > len(pngs) else {}


def _rank(labels: str, matched: dict[str, str], images: str) -> tuple[int, int, int]:
    """Which of several folders with the same names is meant: the one whose path is the likest."""
    parts, others = set(labels.split('/')), set(images.split('/'))
    near = posixpath.dirname(labels) == posixpath.dirname(images)
    alike = sum(other in part for part in parts for other in others if other)
    return len(matched), alike, int(near)


def _refuse_jpegs(listing: Listing, stems: dict[str, dict[str, str]]) -> None:
    for folder, names in stems.items():
        if FOR_LABELS.search(folder) and any(name.lower().endswith(('.jpg', '.jpeg')) for name in names.values()):
            for other, images in stems.items():
                if other != folder and not FOR_LABELS.search(other) and _match(names, images):
                    raise DataError(
                        f"'{listing.path(next(iter(names.values())))}' is a JPEG file, which changes the ids of "
                        'labels; save them as PNG.'
                    )


def sample(items: Sequence, size: int) -> list:
    """Some of the items, evenly spread."""
    return list(items[:: max(len(items) // size, 1)])[:size]
