"""Unpacks archives that others made: nothing is written outside of the target, and no link is made."""

import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from mask2former.errors import DataError
from mask2former.formats.files import leaves_folder
from mask2former.progress import ProgressBar

LONGEST_NAME = 255  # bytes, of most file systems
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError)

# Name, size in bytes, and what opens it.
Member = tuple[str, int, Callable[[], IO[bytes]]]


def unpack(archive: str | Path, target: str | Path) -> None:
    """Unpack a zip or an uncompressed tar file; files that are there with the right size are left as they are.

    A file is complete or absent, so an interrupted run resumes where it stopped. Entries that macOS adds are left out.

    Args:
        archive: The file.
        target: The folder; it is made.

    Raises:
        DataError: If an entry lies outside of the target or is a link (nothing is written then), the archive is broken,
            or the disk has too little space.
    """
    archive, target = Path(archive), Path(target)
    with _opened(archive) as members:
        todo = [member for member in members if not _is_there(target / member[0], member[1])]
        need_space(target, sum(size for _, size, _ in todo), f"The content of '{archive.name}'")
        for name, _, open_member in ProgressBar(todo, desc=f'unpacking {archive.name}'):
            path = target / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError):
                raise DataError(f"The archive '{archive}' holds '{name}' below a file; it is not whole.") from None
            part = path.with_name(f'{path.name}.part')
            with open_member() as content, part.open('wb') as out:
                shutil.copyfileobj(content, out, 1 << 20)
            part.replace(path)


def check_archive(archive: str | Path) -> None:
    """Read every entry of an archive, which checks the sums that a zip file has.

    Raises:
        DataError: If it is broken.
    """
    with _opened(Path(archive)) as members:
        for _, _, open_member in ProgressBar(members, desc=f'testing {Path(archive).name}'):
            with open_member() as content:
                while content.read(1 << 20):
                    pass


@contextmanager
def _opened(archive: Path) -> Iterator[list[Member]]:
    try:
        if archive.suffix == '.zip':
            with zipfile.ZipFile(archive) as file:
                yield [
                    (info.filename, info.file_size, partial(file.open, info))
                    for info in file.infolist()
                    if _is_wanted(archive, info.filename, info.is_dir(), stat.S_ISLNK(info.external_attr >> 16))
                ]
        else:
            with tarfile.open(archive, 'r:') as file:
                yield [
                    (info.name, info.size, partial(_content, file, info))
                    for info in file
                    if _is_wanted(archive, info.name, info.isdir(), not (info.isfile() or info.isdir()))
                ]
    except BROKEN as error:
        raise DataError(f"The archive '{archive}' is broken ({error}); delete it and run this again.") from error


def _content(file: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = file.extractfile(info)
    assert content is not None, 'it is a file'
    return content


def _is_wanted(archive: Path, name: str, is_folder: bool, is_special: bool) -> bool:
    """Whether an entry is to be unpacked; the filters of `tarfile` are newer, and let links inside the folder pass.

    Raises:
        DataError: If it is special, a link or a device, or lies outside of the folder.
    """
    fault = 'is a link or device' if is_special else 'lies outside of the folder'
    if is_special or leaves_folder(name) or ':' in name:
        raise DataError(
            f"The archive '{archive}' holds '{name}', which {fault}; it is not what it should be, nothing was unpacked."
        )
    parts = PurePosixPath(name).parts
    if not is_folder and (not parts or max(map(len, map(os.fsencode, parts))) > LONGEST_NAME):
        raise DataError(
            f"The archive '{archive}' holds {name[:40]!r}, which no file can be called; nothing was unpacked."
        )
    return not is_folder and '__MACOSX' not in parts and parts[-1] != '.DS_Store'


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


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
    return ProgressBar.format_sizeof(count, 'B', 1000)
