"""How much room a disk has."""

import shutil
from pathlib import Path

from tqdm import tqdm

from mask2former.errors import DataError


def need_space(folder: str | Path, count: int, what: str) -> None:
    """Raise ``DataError`` where the disk of a folder, which need not be there yet, has less than ``count`` free bytes.

    ``what`` says in the message what needs them.
    """
    folder = Path(folder).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < count:
        raise DataError(
            f"{what} needs {readable(count)}, but the disk of '{folder}' has {readable(free)} free; free "
            'some or choose another --out.'
        )


def readable(count: int) -> str:
    """Bytes for people: 1.50GB."""
    return tqdm.format_sizeof(count, 'B', 1000)
