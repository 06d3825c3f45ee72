"""What was recognised in a folder, before anything is written, and what a training is given in the end."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mask2former.data_tools.check.kinds import printable
from mask2former.data_tools.custom.scene import Scene
from mask2former.errors import DataError
from mask2former.formats.coco_values import is_text

TASKS = ('panoptic', 'instance', 'semantic')


@dataclass(frozen=True)
class Entry:
    """An annotated image.

    Attributes:
        name: The path of the image below the root, with slashes; where ``image`` is None, what it shall be called.
        image: The file; None where the annotation holds the image.
        source: What the reader of its kind gets.
        files: Those of the annotation; where one has changed, it is converted again.
    """

    name: str
    image: Path | None
    source: Any
    files: tuple[Path, ...] = ()


# Config of a data set for one task of some entries, without conversion; None where it cannot be. Gets the task, the
# split it becomes, its entries, and the folder for lists of them.
Direct = Callable[[str, str, Sequence[Entry], Path], dict | None]


@dataclass(frozen=True)
class Found:
    """What was recognised; nothing is written yet.

    Attributes:
        kind: Name of the format.
        says: One line for people: what was found where, how many images and classes, and which splits.
        root: The folder that the names of images are relative to.
        splits: The annotated images of 'train', 'val', 'test' and '', which is no split.
        classes: ``id, name, isthing`` of each class.
        read: Reads the source of an entry; gets it and ``meaning``. Importable, as other processes call it.
        meaning: What holds for all images; its ``repr`` says all of it.
        task: What is made of it unless something else is asked for.
        tasks: What can be made of it.
        background: Name of the stuff class of all pixels without annotation, for panoptic and semantic data; None
            leaves them void.
        notes: What was decided, one line each with its reason.
        direct: Uses the files as they are, where they may be.
        look: Looks at the annotations of all entries before they are used: raises what is wrong with them, and returns
            what is known better then, such as the classes. The first pass over the data; gets a number of jobs, too.
    """

    kind: str
    says: str
    root: Path
    splits: Mapping[str, tuple[Entry, ...]]
    classes: tuple[dict, ...]
    read: Callable[[Any, Any], Scene]
    meaning: Any
    task: str
    tasks: tuple[str, ...] = TASKS
    background: str | None = None
    notes: tuple[str, ...] = ()
    direct: Direct | None = field(default=None, repr=False)
    look: Callable[['Found', Sequence[Entry], int], 'Found'] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for entry in self.classes:
            if not is_text(entry['name']):
                raise DataError(f"'{self.root}' has a class {entry['name']!r}, which cannot be written; rename it.")


@dataclass(frozen=True)
class Prepared:
    """A data set that can be trained on.

    Attributes:
        task: 'panoptic', 'instance' or 'semantic'.
        train: Config of a data set without pipeline.
        val: The same of the images that validate.
        says: One line for each decision, with its reason.
    """

    task: str
    train: dict
    val: dict
    says: tuple[str, ...]


def describe(kind: str, where: str, splits: Mapping[str, Sequence[Entry]], classes: Sequence[Mapping]) -> str:
    """One line for people on what was recognised."""
    total = sum(map(len, splits.values()))
    named = [f'{name} {len(entries)}' for name, entries in splits.items() if name and entries]
    names = ', '.join(printable(entry['name']) for entry in classes[:6]) + (' ...' if len(classes) > 6 else '')
    images = f'{count(total, "annotated image")}{_in_brackets(", ".join(named))}'
    return f'{kind} in {where}: {images}, {count(len(classes), "class", "classes")}{_in_brackets(names)}.'


def thing_classes(names: Iterable[str]) -> tuple[dict, ...]:
    """Classes of things, numbered from 1 on."""
    return tuple(dict(id=number, name=name, isthing=1) for number, name in enumerate(names, 1))


def empty_note(number: int) -> list[str]:
    """What is said of images whose annotation is that nothing is on them, if there are any."""
    what = count(number, 'image')
    return [f'{what} without annotation: kept, to show what is none of the classes.'] if number else []


def _in_brackets(text: str) -> str:
    return f' ({text})' if text else ''


def count(number: int, one: str, many: str | None = None) -> str:
    """A number and its word: ``1 image``, ``2 images``."""
    return f'{number} {one if number == 1 else many or one + "s"}'
