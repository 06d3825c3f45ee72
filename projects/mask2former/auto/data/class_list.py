"""Text files that name classes: one a line, with ids, or with colours."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from mask2former.errors import DataError

from .listing import Listing, folder_of

FILES = (
    'classes.txt', 'class_names.txt', 'labels.txt', 'label_names.txt', 'label_colors.txt', 'labelmap.txt',
    'label_map.txt', 'codes.txt', 'names.txt', 'categories.txt', 'obj.names', '_classes.csv', 'class_dict.csv',
    'classes.csv', 'label_colors.csv',
)  # fmt: skip
VOID_NAMES = ('void', '__ignore__', 'ignore', 'ignored', 'unlabeled', 'unlabelled')
Color = tuple[int, int, int]
BYTE = r'(\d{1,3})'
COLOR_FIRST = re.compile(rf'{BYTE}[\s,;]+{BYTE}[\s,;]+{BYTE}[\s,;:]+(\S.*)')  # 64 128 64 Animal
COLOR_LAST = re.compile(rf'([^:]+):{BYTE},{BYTE},{BYTE}:.*')  # road:128,64,128::, as CVAT's labelmap.txt
ID_FIRST = re.compile(r'(\d+)\s*[:=,;\s]\s*(\D.*)')  # 3: road


@dataclass(frozen=True)
class ClassList:
    """The classes that a file names.

    Attributes:
        path: The file below the root.
        names: By the id, which is the place in the file where it says none.
        colors: The RGB colours of ids, where it says any.
    """

    path: str
    names: dict[int, str]
    colors: dict[Color, int] = field(default_factory=dict)


def find_list(listing: Listing, folders: Sequence[str] = ()) -> ClassList | None:
    """The list of classes at the root, or above or in one of the folders; None where there is none.

    Raises:
        DataError: If a file cannot be understood, or there are several that differ.
    """
    places = {''}
    for folder in folders:
        while folder:
            places.add(folder)
            folder = folder_of(folder)
    found = [name for name in listing.files if name.rpartition('/')[2].lower() in FILES and folder_of(name) in places]
    lists = [read_list(listing, name) for name in found]
    for other in lists[1:]:
        if other.names != lists[0].names:
            raise DataError(
                f"'{listing.path(lists[0].path)}' and '{other.path}' name different classes; remove one of them."
            )
    return max(lists, key=lambda one: len(one.colors), default=None)


def read_list(listing: Listing, name: str) -> ClassList:
    """Read a list of classes.

    Raises:
        DataError: If it is empty or a name is there twice.
    """
    path = listing.path(name)
    text = path.read_text(encoding='utf-8-sig', errors='replace')
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith('#')]
    if not lines:
        raise DataError(f"The list of classes '{path}' is empty; write the names, one a line.")
    result = _read_table(name, lines) if name.lower().endswith('.csv') else _read_lines(name, lines)
    names = list(result.names.values())
    twice = next((one for one in names if names.count(one) > 1), None)
    if twice is not None:
        raise DataError(f"The list of classes '{path}' has '{twice}' twice; give each class a name of its own.")
    return result


def _read_lines(name: str, lines: Sequence[str]) -> ClassList:
    first = [COLOR_FIRST.fullmatch(line) for line in lines]
    last = [COLOR_LAST.fullmatch(line) for line in lines]
    if all(first):
        rows = [(found[4], tuple(map(int, found.group(1, 2, 3)))) for found in first if found]
    elif all(last):
        rows = [(found[1], tuple(map(int, found.group(2, 3, 4)))) for found in last if found]
    else:
        ids = [ID_FIRST.fullmatch(line) for line in lines]
        if all(ids) and len({found[1] for found in ids if found}) == len(lines):
            return ClassList(name, {int(found[1]): found[2].strip() for found in ids if found})
        start = -1 if lines[0] == '__ignore__' else 0  # LabelMe's labels begin at -1, which is no class
        return ClassList(name, {place: line for place, line in enumerate(lines, start) if place >= 0})
    return ClassList(
        name,
        {place: found.strip() for place, (found, _) in enumerate(rows)},
        {(color[0], color[1], color[2]): place for place, (_, color) in enumerate(rows)},
    )


def _read_table(name: str, lines: Sequence[str]) -> ClassList:
    """A CSV file with a line of titles: ``name, r, g, b`` or ``Pixel Value, Class``."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    titles = [title.lower() for title in rows[0]]
    of = {key: titles.index(title) for key, title in _columns(titles)}
    body = [row for row in rows[1:] if len(row) == len(titles)]
    if 'name' not in of:
        return _read_lines(name, lines)
    try:
        ids = [int(row[of['id']]) if 'id' in of else place for place, row in enumerate(body)]
        names = {class_id: row[of['name']] for class_id, row in zip(ids, body)}
        if not {'r', 'g', 'b'} <= of.keys():
            return ClassList(name, names)
        colors = {
            (int(row[of['r']]), int(row[of['g']]), int(row[of['b']])): class_id for class_id, row in zip(ids, body)
        }
    except ValueError as error:
        raise DataError(f"The list of classes '{name}' has a cell that is no number ({error}); correct it.") from None
    return ClassList(name, names, colors)


def _columns(titles: Sequence[str]) -> list[tuple[str, str]]:
    meanings = dict(
        name=('name', 'class', 'class_name', 'label'), id=('pixel value', 'id', 'value', 'index', 'class_id'),
        r=('r', 'red'), g=('g', 'green'), b=('b', 'blue'),
    )  # fmt: skip
    return [(key, title) for key, words in meanings.items() for title in titles if title in words]
