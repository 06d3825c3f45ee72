"""What formats of objects have in common: all of them are things, before a background."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mask2former.data_tools.custom.scene import Scene

from .found import Entry, Found, describe
from .listing import Listing
from .splits import bare_notes

BACKGROUND = 'background'


def found_objects(
    kind: str,
    where: str,
    listing: Listing,
    splits: Mapping[str, tuple[Entry, ...]],
    classes: tuple[dict, ...],
    *,
    read: Callable[[Any, Any], Scene],
    meaning: Any,
    task: str = 'instance',
    notes: Iterable[str] = (),
) -> Found:
    """What was recognised; ``where`` is for people, the rest as in :class:`~mask2former.auto.data.found.Found`."""
    return Found(
        kind=kind,
        says=describe(kind, where, splits, classes),
        root=listing.root,
        splits=splits,
        classes=classes,
        read=read,
        meaning=meaning,
        task=task,
        background=BACKGROUND,
        notes=tuple(notes),
    )


def other_images(listing: Listing, splits: Mapping[str, Sequence[Entry]]) -> list[str]:
    """What is said of the images that no split has."""
    used = {entry.name for entries in splits.values() for entry in entries}
    return bare_notes(name for name in listing.images if name not in used)
