"""Recognises Pascal VOC's folders: JPEGImages, SegmentationClass, SegmentationObject and ImageSets."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from mask2former.data_tools.custom.png_folders import PngSource
from mask2former.data_tools.custom.scene import SIZE_FIX, Layer, Scene
from mask2former.errors import DataError
from mask2former.formats.images import check_size, image_size, read_pixels
from mask2former.formats.rle import encode_mask

from . import class_pngs
from .class_list import ClassList, Color, find_list
from .found import Entry, Found, describe
from .json_kinds import JsonFiles
from .listing import Listing, stem_of
from .png_pairs import Pair
from .splits import bare_notes, group, listed_splits

CLASS_FOLDERS, OBJECT_FOLDERS = (
    tuple(f'Segmentation{what}{end}' for end in ('', 'PNG', 'Raw')) for what in ('Class', 'Object')
)
NAMES = (
    'background', 'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow', 'diningtable',
    'dog', 'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor',
)  # fmt: skip
VOID = 255


@dataclass(frozen=True)
class VocMeaning:
    """The classes: whether each id is a thing, the colours of files without palette, and void ids and colours."""

    isthing: Mapping[int, bool]
    colors: Mapping[Color, int]


def voc_color(number: int) -> Color:
    """The colour that VOC gives to a number: its bits, in turn to red, green and blue, the highest first."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (number >> (3 * bit + channel) & 1) << 7 - bit
    return channels[0], channels[1], channels[2]


STANDARD = ClassList('', dict(enumerate(NAMES)), {voc_color(number): number for number in range(len(NAMES))})


def find(listing: Listing, files: JsonFiles) -> Found | None:
    """Recognise VOC's folders, with objects as things over a background, without as classes.

    Raises:
        DataError: If there are several such data sets, or images are missing.
    """
    bases = [posixpath.dirname(one) for one in listing.folders if posixpath.basename(one) in CLASS_FOLDERS]
    bases = sorted({base for base in bases if posixpath.join(base, 'JPEGImages') in listing.folders})
    if not bases:
        return None
    if len(bases) > 1:
        raise DataError(f"'{listing.root}' has several data sets of VOC's format, {bases[:4]}; give the folder of one.")
    base = bases[0]
    classes_in, objects_in = (
        next((posixpath.join(base, one) for one in names if posixpath.join(base, one) in listing.folders), '')
        for names in (CLASS_FOLDERS, OBJECT_FOLDERS)
    )
    images = {stem_of(name): posixpath.join(base, 'JPEGImages', name)
              for name in listing.folders[posixpath.join(base, 'JPEGImages')]}  # fmt: skip
    pngs = [name for name in listing.folders[classes_in] if name.lower().endswith('.png')]
    lost = [name for name in pngs if stem_of(name) not in images]
    if not pngs or lost:
        what = (
            f"'{listing.path(posixpath.join(classes_in, lost[0]))}' has no image"
            if lost
            else f"'{classes_in}' has no PNG"
        )
        raise DataError(
            f"{what}; add it, with the same name and in '{posixpath.join(base, 'JPEGImages')}' if an image."
        )
    pairs = [Pair(images[stem_of(name)], posixpath.join(classes_in, name)) for name in pngs]
    lists = [name for name in listing.files if name.startswith(posixpath.join(base, 'ImageSets', 'Segmentation', ''))]
    split_of = listed_splits(Listing(listing.root, lists), [pair.image for pair in pairs])
    names = find_list(listing, [base]) or STANDARD
    if names.colors:
        names = replace(names, colors={voc_color(VOID): VOID, **names.colors})
    colored = _is_colored(listing.path(pairs[0].png))
    used = {pair.image for pair in pairs}
    bare = bare_notes(name for name in sorted(images.values()) if name not in used)
    if not objects_in:
        return class_pngs.found_of(listing, pairs, names, split_of, bare, colored, kind='Pascal VOC')
    rows = []
    for pair in pairs:
        instances = posixpath.join(objects_in, posixpath.basename(pair.png))
        if instances not in listing.known:
            raise DataError(
                f"'{listing.path(pair.png)}' has no '{listing.path(instances)}'; add it, or remove the first."
            )
        paths = [listing.path(name) for name in (pair.image, pair.png, instances)]
        source = PngSource(paths[0], semantic=paths[1], instances=paths[2])
        rows.append((split_of.get(pair.image, ''), Entry(pair.image, paths[0], source, tuple(paths[1:]))))
    classes: tuple[dict, ...] = tuple(
        dict(id=value, name=name, isthing=int(name.lower().strip('_') != 'background'))
        for value, name in names.names.items()
    )
    splits = group(rows)
    return Found(
        kind='Pascal VOC',
        says=describe('Pascal VOC', repr(classes_in), splits, classes),
        root=listing.root,
        splits=splits,
        classes=classes,
        read=read_scene,
        meaning=VocMeaning({entry['id']: bool(entry['isthing']) for entry in classes}, names.colors),
        task='panoptic',
        notes=(class_pngs.names_note(names, 'Pascal VOC'), *bare),
    )


def read_scene(source: PngSource, meaning: VocMeaning) -> Scene:
    """Read an image: objects have the class that most of their pixels have; pixels of things without object are void.

    Raises:
        MissingFileError: If a file is absent.
        DataError: If a file cannot be read, the sizes differ, or a value is no class.
    """
    size = image_size(source.image)
    assert source.semantic is not None and source.instances is not None
    semantic = _ids(source.semantic, source.image, size, meaning.colors)
    objects = _ids(source.instances, source.image, size, {})
    layers = []
    for value in np.unique(semantic).tolist():
        if value != VOID and value not in meaning.isthing:
            raise DataError(f"'{source.semantic}' has the value {value}, which is no class; add it to the list.")
        layers.append(Layer(encode_mask(semantic == value), None if meaning.isthing.get(value, True) else value))
    for number in np.unique(objects).tolist():
        mask = objects == number
        values, counts = np.unique(semantic[mask], return_counts=True)
        things = [
            (count, value) for count, value in zip(counts.tolist(), values.tolist()) if meaning.isthing.get(value)
        ]
        if number and things:
            layers.append(Layer(encode_mask(mask & (semantic == max(things)[1])), max(things)[1], number))
    return Scene(source.image, size, layers)


def _ids(path: Path, image: Path, size: tuple[int, int], colors: Mapping[Color, int]) -> np.ndarray:
    """The numbers ``(H, W)`` of a PNG: its values, or those of its colours, any different ones where none are given."""
    pixels = read_pixels(path, 'The PNG', 'add it')
    check_size(f"'{path}'", pixels.shape, image, size, SIZE_FIX)
    if pixels.ndim == 2:
        return pixels.astype(np.int64)
    codes = pixels[..., :3].astype(np.int64) @ np.array([65536, 256, 1])
    found = np.unique(codes)
    known = {r << 16 | g << 8 | b: value for (r, g, b), value in colors.items()}
    if not colors:
        known = {code: place for place, code in enumerate([0, *(code for code in found.tolist() if code)])}
    unknown = next((code for code in found.tolist() if code not in known), None)
    if unknown is not None:
        color = (unknown >> 16, unknown >> 8 & 255, unknown & 255)
        raise DataError(f"'{path}' has pixels of the colour {color}, which is no class; add it to labelmap.txt.")
    return np.array([known[code] for code in found.tolist()])[np.searchsorted(found, codes)]


def _is_colored(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return len(image.getbands()) > 1
    except Exception:
        return False
