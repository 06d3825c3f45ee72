"""Recognises images with a PNG each whose values, or whose colours, are classes."""

import posixpath
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mask2former.data_tools.custom.png_folders import Meaning, PngSource
from mask2former.data_tools.custom.png_folders import read_scene as read_pngs
from mask2former.data_tools.custom.scene import SIZE_FIX, Layer, Scene
from mask2former.errors import DataError
from mask2former.formats.class_png import read_class_ids
from mask2former.formats.images import check_size, image_size, read_pixels
from mask2former.formats.rle import encode_mask
from mask2former.progress import ProgressBar

from . import instance_pngs
from .class_list import VOID_NAMES, ClassList, Color, find_list
from .found import Entry, Found, describe
from .json_kinds import JsonFiles
from .listing import Listing, folder_of
from .png_pairs import Pair, find_pairs, looks_like_colors, sample
from .splits import bare_notes, group, listed_splits, split_of_folders
from .write import VOID, semantic_config

SAMPLE = 24  # PNG files that are read to tell what they are
MOST = 300  # classes: more are no classes


@dataclass(frozen=True)
class ColorMeaning:
    """The class id of each colour, None for void."""

    ids: Mapping[Color, int | None]


def find(listing: Listing, files: JsonFiles) -> Found | None:
    """Recognise class-id PNG files, and instance-id PNG files, which lie in the same places.

    Raises:
        DataError: If a file cannot be read, or a list of classes does not fit.
    """
    pairs = find_pairs(listing)
    return of_pairs(listing, pairs) if pairs else None


def of_pairs(listing: Listing, pairs: Sequence[Pair]) -> Found | None:
    """What images with a PNG each are; None where nothing says what the colours of the PNG files are."""
    names = find_list(listing, sorted({folder_of(pair.png) for pair in pairs}))
    pngs = [listing.path(pair.png) for pair in sample(pairs, SAMPLE)]
    if looks_like_colors(pngs[0]):
        if names is None or not names.colors:
            raise DataError(
                f"'{pngs[0]}' has classes in colours, but no file says which; write a label_colors.txt with a line "
                '"R G B name" for each class.'
            )
        return _found(listing, pairs, names, colors=True)
    maps = [read_class_ids(path) for path in pngs]
    folder = folder_of(pairs[0].png)
    if names is None and instance_pngs.are_instances(maps, folder):
        return instance_pngs.found(listing, pairs, entries_of(listing, pairs), notes_of(listing, pairs))
    return _found(listing, pairs, names, sorted({value for ids in maps for value in np.unique(ids).tolist()}))


def entries_of(listing: Listing, pairs: Sequence[Pair], instances: bool = False) -> dict[str, tuple[Entry, ...]]:
    """An entry for each pair, by the split that folders or lists say."""
    listed = listed_splits(listing, [pair.image for pair in pairs])
    rows = []
    for pair in pairs:
        image, png = listing.path(pair.image), listing.path(pair.png)
        source = PngSource(image, instances=png) if instances else PngSource(image, semantic=png)
        split = split_of_folders(pair.image) or split_of_folders(pair.png) or listed.get(pair.image, '')
        rows.append((split, Entry(pair.image, image, source, (png,))))
    return group(rows)


def notes_of(listing: Listing, pairs: Sequence[Pair]) -> list[str]:
    """What is said of images that have no PNG."""
    used = {pair.image for pair in pairs} | {pair.png for pair in pairs}
    labels = {folder_of(pair.png) for pair in pairs} - {folder_of(pair.image) for pair in pairs}
    return bare_notes(name for name in listing.images if name not in used and folder_of(name) not in labels)


def found_of(
    listing: Listing,
    pairs: Sequence[Pair],
    names: ClassList,
    split_of: Mapping[str, str],
    bare: Sequence[str],
    colors: bool,
    kind: str,
) -> Found:
    """What is known of images whose splits, and whose images without PNG, are known already."""
    entries = {entry.name: entry for of_split in entries_of(listing, pairs).values() for entry in of_split}
    splits = group([(split_of.get(name, ''), entry) for name, entry in entries.items()])
    found = _found(listing, pairs, names, colors=colors)
    says = describe(kind, repr(posixpath.dirname(pairs[0].png)), splits, found.classes)
    return replace(found, kind=kind, says=says, splits=splits, notes=(names_note(names, kind), *bare))


def names_note(names: ClassList, kind: str) -> str:
    """What is said of the names of classes."""
    return f'Names of classes are those of {repr(names.path) if names.path else kind}.'


def _found(
    listing: Listing, pairs: Sequence[Pair], names: ClassList | None, seen: Sequence[int] = (), colors: bool = False
) -> Found:
    classes, void, notes = class_ids(names, seen)
    splits = entries_of(listing, pairs)
    rows = tuple(dict(id=value, name=name, isthing=0) for value, name in classes.items())
    folder = posixpath.commonpath([folder_of(pair.png) for pair in pairs]) or '.'
    says = describe('class PNGs', repr(folder), splits, rows)
    source = [
        f"Classes are those of '{names.path}'."
        if names
        else 'Classes are the values that the PNG files have; a classes.txt beside them, with one name a line, names '
        'them.'
    ]
    meaning: object = Meaning({value: False for value in classes}, void=void)
    if colors and names is not None:
        by_color = {color: value if value in classes else None for color, value in names.colors.items()}
        meaning = ColorMeaning(by_color)
    return Found(
        kind='class PNGs',
        says=says,
        root=listing.root,
        splits=splits,
        classes=rows,
        read=read_colors if colors else read_pngs,
        meaning=meaning,
        task='semantic',
        tasks=('semantic', 'panoptic'),
        notes=(*source, *notes, *notes_of(listing, pairs)),
        look=None if colors else partial(_look, names=names),
        direct=None if colors else partial(_direct, root=listing.root, label_map=classes, void=void),
    )


def class_ids(names: ClassList | None, seen: Sequence[int]) -> tuple[dict[int, str], tuple[int, ...], list[str]]:
    """The classes by their pixel value, the values that are void, and what to say of them."""
    if names is not None:
        void = [value for value, name in names.names.items() if name.lower() in VOID_NAMES]
        classes = {value: name for value, name in names.names.items() if value not in void}
        notes = [f"'{names.names[value]}' counts as void, by its name." for value in void]
        return classes, (*void, *(() if VOID in names.names else (VOID,))), notes
    if set(seen) in ({0, VOID}, {0, 1}, {0, 1, VOID}):
        front = VOID if set(seen) == {0, VOID} else 1
        return {0: 'background', front: 'foreground'}, () if front == VOID else (VOID,), []
    return {value: str(value) for value in seen if value != VOID}, (VOID,), []


def read_colors(source: PngSource, meaning: ColorMeaning) -> Scene:
    """Read an image whose PNG has a colour for each class.

    Raises:
        MissingFileError: If a file is absent.
        DataError: If a file cannot be read, the sizes differ, or a colour is none of the list.
    """
    assert source.semantic is not None
    size = image_size(source.image)
    pixels = read_rgb(source.semantic)
    check_size(f"'{source.semantic}'", pixels.shape, source.image, size, SIZE_FIX)
    codes = pixels.astype(np.int32) @ np.array([65536, 256, 1])  # (H, W)
    layers = []
    for code in np.unique(codes).tolist():
        color = (code >> 16, code >> 8 & 255, code & 255)
        if color not in meaning.ids:
            raise DataError(
                f"'{source.semantic}' has pixels of the colour {color}, which is no class; add it to the list."
            )
        layers.append(Layer(encode_mask(codes == code), meaning.ids[color]))
    return Scene(source.image, size, layers)


def read_rgb(path: Path) -> np.ndarray:
    """The colours ``(H, W, 3)`` of a PNG without alpha."""
    pixels = read_pixels(path, 'The PNG', 'add it')
    if pixels.ndim != 3 or pixels.shape[2] < 3:
        raise DataError(f"'{path}' has no colours, which the others have; save all in the same way.")
    return pixels[..., :3]


def _look(found: Found, entries: Sequence[Entry], jobs: int, *, names: ClassList | None) -> Found:
    """Read all PNG files: sizes, and values that mean nothing."""
    with ThreadPoolExecutor(jobs) as pool:
        values = list(ProgressBar(pool.map(_values, entries), total=len(entries), desc='PNG files'))
    seen = sorted(set().union(*values))
    classes, void, _ = class_ids(names, seen)
    unknown = next((value for value in seen if value not in classes and value not in void), None)
    if unknown is not None and names is not None:
        entry = next(entry for entry, has in zip(entries, values) if unknown in has)
        raise DataError(
            f"'{entry.source.semantic}' has the value {unknown}, but '{names.path}' names the classes "
            f'{min(names.names)} to {max(names.names)}: add the class there, or correct the pixels.'
        )
    if len(classes) > MOST:
        raise DataError(
            f"The PNG files of '{found.root}' have {len(classes)} different values, which are hardly classes; write a "
            'classes.txt with the name of each, one a line, if they are.'
        )
    rows = tuple(dict(id=value, name=name, isthing=0) for value, name in classes.items())
    return replace(
        found,
        classes=rows,
        meaning=Meaning({value: False for value in classes}, void=void),
        direct=partial(_direct, root=found.root, label_map=classes, void=void),
    )


def _values(entry: Entry) -> set[int]:
    assert entry.image is not None
    ids = read_class_ids(entry.source.semantic)
    check_size(f"'{entry.source.semantic}'", ids.shape, entry.image, image_size(entry.image, decode=False), SIZE_FIX)
    return set(np.unique(ids).tolist())


def _direct(
    task: str, split: str, entries: Sequence[Entry], out: Path, *, root: Path, label_map: Mapping[int, str],
    void: tuple[int, ...],
) -> dict | None:  # fmt: skip
    """The files as they are, where the PNG files lie below one folder as the images do below another."""
    if task != 'semantic':
        return None
    names = [entry.name for entry in entries]
    pngs = [entry.source.semantic.relative_to(root).as_posix() for entry in entries]
    folders = [posixpath.commonpath(list(map(folder_of, paths))) for paths in (names, pngs)]
    img, seg = (f'{folder}/' if folder else '' for folder in folders)
    stems = [posixpath.splitext(name[len(img) :])[0] for name in names]
    suffix = pngs[0][len(seg) + len(stems[0]) :]
    if any(png != f'{seg}{stem}{suffix}' for png, stem in zip(pngs, stems)) or len(set(stems)) < len(stems):
        return None
    ignored = list(void) if len(void) != 1 else void[0]
    return semantic_config(
        [name[len(img) :] for name in names], out / f'{split}.txt', root, img, seg, suffix, label_map, ignored or None
    )
