"""A drawn data set is complete and says by which parameters it was drawn, or it is drawn again."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mask2former.errors import ConfigError
from mask2former.formats.files import write_json


def write_stamped(path: Path, parameters: dict[str, Any], files: Iterable[Path], write: Callable[[], object]) -> bool:
    """Have ``write`` write a data set, unless it is there already.

    The stamp is written last. An interrupted run has left none, and everything is written again.

    Args:
        path: The stamp, ``NAME.json`` in the folder of the data set ``NAME``; it holds the parameters.
        parameters: By which the data set is drawn.
        files: What it consists of.
        write: Writes all of it.

    Returns:
        Whether anything was written.

    Raises:
        ConfigError: If the folder holds such a data set with other parameters.
    """
    found = _read_stamp(path)
    if found:
        if found != parameters:
            raise ConfigError(
                f'{path.parent} holds a {path.stem} data set with other parameters ({found} instead of '
                f'{parameters}); choose another folder, or delete this one.'
            )
        if all(file.is_file() for file in files):
            print(f'{path.parent} is complete: nothing to do.')
            return False
        path.unlink()  # it would vouch for what is not there
    write()
    write_json(path, parameters)
    return True


def _read_stamp(path: Path) -> dict[str, Any]:
    """The parameters in a stamp, or an empty dict where there is none or it is broken."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (FileNotFoundError, ValueError):
        return {}
