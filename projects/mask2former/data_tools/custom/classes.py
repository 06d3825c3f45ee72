"""The classes of a custom data set, from the command line or a file, as COCO's ``categories``."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from mask2former.errors import DataError, MissingFileError
from mask2former.formats.palette import make_palette


def parse_classes(words: Sequence[str]) -> list[dict]:
    """Read classes: one JSON file, or ``ID=NAME`` for stuff and ``ID=NAME:thing`` for things.

    Args:
        words: The JSON file holds ``[{"id": 1, "name": "road", "isthing": 0, "color": [128, 64, 128]},
            ...]`` or an object with such ``categories``; ``color`` may be absent.

    Returns:
        ``id, name, isthing`` of each class, and ``color`` where it is given.

    Raises:
        DataError: If something is neither, or an id or a name is there twice.
    """
    if len(words) == 1 and words[0].lower().endswith('.json'):
        classes = _read_classes(Path(words[0]))
        source = f"'{words[0]}'"
    else:
        classes = [_parse_class(word) for word in words]
        source = '--classes'
    for key in ('id', 'name'):
        values = [entry[key] for entry in classes]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise DataError(f'Two classes of {source} have the {key} {twice!r}; give each its own.')
    return classes


def add_class(classes: Sequence[dict], name: str, isthing: bool) -> list[dict]:
    """The classes with one of this name, which is appended under the next free id where they have none.

    Raises:
        DataError: If there is one of the other kind.
    """
    for entry in classes:
        if entry['name'] == name:
            if bool(entry['isthing']) != isthing:
                raise DataError(
                    f"The class '{name}' must be {'a thing' if isthing else 'stuff'}, but --classes says "
                    'the opposite; correct it there or choose another class.'
                )
            return list(classes)
    next_id = max((entry['id'] for entry in classes), default=0) + 1
    return [*classes, dict(id=next_id, name=name, isthing=int(isthing))]


def with_colors(classes: Sequence[dict]) -> list[dict]:
    """The classes as COCO's ``categories``: each with a colour of its own where none is given."""
    given = {tuple(entry['color']) for entry in classes if 'color' in entry}
    free = iter([color for color in make_palette(len(classes) + len(given)) if color not in given])
    return [{**entry, 'color': list(entry['color'] if 'color' in entry else next(free))} for entry in classes]


def id_of(classes: Sequence[dict], name: str) -> int:
    """The id of the class of this name."""
    return next(entry['id'] for entry in classes if entry['name'] == name)


def _parse_class(word: str) -> dict:
    found = re.fullmatch(r'(\d+)=(.+?)(:thing|:stuff)?', word)
    if not found:
        raise DataError(
            f"'{word}' of --classes is no class; write ID=NAME for stuff, ID=NAME:thing for a thing, or "
            'give one JSON file.'
        )
    return dict(id=int(found[1]), name=found[2], isthing=int(found[3] == ':thing'))


def _read_classes(path: Path) -> list[dict]:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise MissingFileError(f"The file of classes '{path}' does not exist; correct --classes.") from None
    except ValueError as error:
        raise DataError(f"The file of classes '{path}' is not valid JSON ({error}); correct it.") from None
    if isinstance(content, dict):
        content = content.get('categories')
    if not isinstance(content, list) or not content:
        raise DataError(
            f"The file of classes '{path}' must be a list of dict(id, name, isthing), or an object with "
            "such 'categories'; correct it."
        )
    for entry in content:
        lacking = [key for key in ('id', 'name', 'isthing') if not isinstance(entry, dict) or key not in entry]
        if lacking:
            raise DataError(f"The class {entry} in '{path}' has no {' and no '.join(map(repr, lacking))}; add it.")
    return [{key: entry[key] for key in ('id', 'name', 'isthing', 'color') if key in entry} for entry in content]
