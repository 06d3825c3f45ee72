"""Which images train and which validate: as folders, lists and file names say, else by chance."""

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence

from mask2former.data_tools.custom.splits import assign_splits
from mask2former.errors import DataError

from .found import Entry, Found, count
from .listing import FOR_LABELS, Listing, stem_of

WORDS = dict(
    train='train', training='train', val='val', valid='val', validation='val', dev='val', test='test', testing='test'
)


def split_word(name: str) -> str | None:
    """The split that a name says, as ``instances_train2017`` or ``valid``; None where it says none or two."""
    found = {WORDS[word] for word in re.findall('[a-z]+', name.lower()) if word in WORDS}
    return found.pop() if len(found) == 1 else None


def split_of_folders(name: str) -> str:
    """The split that the folders of a path say, '' where none does; one that is nothing but the word goes first."""
    parts = posixpath.dirname(name).split('/')
    exact = [WORDS[part.lower()] for part in parts if part.lower() in WORDS]
    words = exact or [word for word in map(split_word, parts) if word]
    return words[0] if words else ''


def split_of_file(name: str) -> str:
    """The split that the name of an annotation file says, else its folders; '' where none does."""
    return split_word(stem_of(name)) or split_of_folders(name)


def listed_splits(listing: Listing, names: Sequence[str]) -> dict[str, str]:
    """The split of each image that a text file such as ``train.txt`` or ``ImageSets/Segmentation/val.txt`` lists.

    Args:
        listing: All files.
        names: The images; what the text files call them may lack folders and suffix.

    Returns:
        The split by the image's name. Where only ``val`` or ``test`` is listed, all others train.
    """
    by_key: dict[str, str] = {}
    for name in names:
        without = posixpath.splitext(name)[0]
        for key in (posixpath.basename(without), posixpath.basename(name), without, name):
            by_key.setdefault(key, name)
    result: dict[str, str] = {}
    for path in listing.ending('.txt'):
        split = split_word(stem_of(path))
        if split is None or stem_of(path) in by_key:  # a file of YOLO's that belongs to an image
            continue
        text = listing.path(path).read_text(encoding='utf-8', errors='replace')
        keys = [line.split()[0] for line in text.splitlines() if line.strip()]
        found = [by_key.get(key) or by_key.get(posixpath.basename(key)) for key in keys]
        if keys and sum(name is not None for name in found) * 2 > len(keys):
            result |= {name: split for name in found if name is not None}
    if result and 'train' not in result.values():
        result = {name: 'train' for name in names} | result
    return result


def one_a_split(listing: Listing, names: Sequence[str], what: str, prefix: str) -> dict[str, str]:
    """The annotation file of each split, '' for none. Of several, the one whose name begins with ``prefix`` counts.

    COCO's own person_keypoints_val2017.json, for one, has masks like instances_val2017.json.

    Raises:
        DataError: If several are left.
    """
    by_split: dict[str, list[str]] = {}
    for name in names:
        by_split.setdefault(split_of_file(name), []).append(name)
    result = {}
    for split, found in by_split.items():
        if len(found) > 1:
            found = [name for name in found if posixpath.basename(name).lower().startswith(prefix)] or found
        if len(found) > 1:
            raise DataError(
                f"'{listing.path(found[0])}' and '{found[1]}' are both {what} of {split or 'no split'}; give the path "
                f'of one, or name them after their splits, as {prefix}_val.json.'
            )
        result[split] = found[0]
    return result


def bare_notes(images: Iterable[str]) -> list[str]:
    """What is said of images that have no annotation, by the split of their folder."""
    bare: dict[str, list[str]] = {}
    for name in images:
        if not FOR_LABELS.search(posixpath.dirname(name)):  # these are other annotations, more likely
            bare.setdefault(split_of_folders(name), []).append(name)
    return [
        f'{count(len(names), "image")}{f" of {split}" if split else ""} without annotations: left alone, such as '
        f"'{names[0]}'."
        for split, names in bare.items()
    ]


def group(entries: Sequence[tuple[str, Entry]]) -> dict[str, tuple[Entry, ...]]:
    """Entries by their split, which stands before each."""
    result: dict[str, list[Entry]] = {}
    for split, entry in entries:
        result.setdefault(split, []).append(entry)
    order = [split for split in ('train', 'val', 'test', '') if split in result]
    return {split: tuple(result[split]) for split in order}


def choose(found: Found, val_share: float, seed: int) -> tuple[list[Entry], list[Entry], str]:
    """The entries that train, those that validate, and a line that says why.

    Raises:
        DataError: If there are less than two.
    """
    splits: Mapping[str, tuple[Entry, ...]] = found.splits
    train = [*splits.get('train', ()), *splits.get('', ())]
    val, test = list(splits.get('val', ())), list(splits.get('test', ()))
    if 'train' in splits or ('' in splits and (val or test)):
        if val:
            unused = f' {count(len(test), "image")} of test are left alone.' if test else ''
            return train, val, f'Split: {len(train)} train, {len(val)} validate, as the data is divided.{unused}'
        if test:
            return train, test, f'Split: {len(train)} train; there is no val, so the {len(test)} of test validate.'
    everything = [*train, *val, *test]
    if len(everything) < 2:
        raise DataError(
            f"'{found.root}' has one annotated image, but one is needed to train and another one to validate; add some."
        )
    names = [entry.name for entry in everything]
    chosen = assign_splits(names, val_share=val_share, seed=seed, val_list=None, split=None)
    train = [entry for entry, split in zip(everything, chosen) if split == 'train']
    val = [entry for entry, split in zip(everything, chosen) if split == 'val']
    if not val:
        return train, train, f'Split: all {len(train)} train and validate, as no share validates.'
    alone = f'all are of {next(iter(splits))}' if '' not in splits else 'the data is not divided'
    return train, val, f'Split: {len(train)} train, {len(val)} validate, chosen by chance (seed {seed}), as {alone}.'
