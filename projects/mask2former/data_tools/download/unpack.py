"""Unpacks archives that others made: nothing is written outside of the target, and no link is made."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tqdm import tqdm

from mask2former.errors import DataError

from .disk import need_space

BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError)

# Name, size in bytes, and what opens it.
Member = tuple[str, int, Callable[[], AbstractContextManager[BinaryIO]]]


def unpack(archive: str | Path, target: str | Path) -> None:
    """Unpack a zip or an uncompressed tar file; files that are there with the right size are left as they are.

    A file is complete or absent, so an interrupted run goes on where it stopped. Entries that macOS adds are left out.

    Args:
        archive (str | Path): The file.
        target (str | Path): The folder; it is made.

    Raises:
        DataError: If an entry lies outside of the target or is a link (nothing is written then), the archive is broken,
            or the disk has too little space.
    """
    archive, target = Path(archive), Path(target)
    with _opened(archive) as members:
        todo = [member for member in members if not _is_there(target / member[0], member[1])]
        need_space(target, sum(size for _, size, _ in todo), f"The content of '{archive.name}'")
        for name, _, open_member in tqdm(todo, desc=f'unpacking {archive.name}', disable=None):
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
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
        for _, _, open_member in tqdm(members, desc=f'testing {Path(archive).name}', disable=None):
            with open_member() as content:
                while content.read(1 << 20):
                    pass


@contextmanager
def _opened(archive: Path) -> Iterator[list[Member]]:
    try:
        if archive.suffix == '.zip':
            with zipfile.ZipFile(archive) as file:
                yield list(_zip_members(file, archive))
        else:
            with tarfile.open(archive, 'r:') as file:
                yield list(_tar_members(file, archive))
    except BROKEN as error:
        raise DataError(f"The archive '{archive}' is broken ({error}); delete it and run this again.") from error


def _zip_members(file: zipfile.ZipFile, archive: Path) -> Iterator[Member]:
    for info in file.infolist():
        _check_name(info.filename, archive)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DataError(
                f"The archive '{archive}' holds the link '{info.filename}'; it is not what it should be, "
                'nothing was unpacked.'
            )
        if not info.is_dir() and _wanted(info.filename):
            yield info.filename, info.file_size, lambda info=info: file.open(info)


def _tar_members(file: tarfile.TarFile, archive: Path) -> Iterator[Member]:
    for info in file:
        _check_name(info.name, archive)
        if not (info.isfile() or info.isdir()):
            raise DataError(
                f"The archive '{archive}' holds '{info.name}', a link or device; it is not what it should "
                'be, nothing was unpacked.'
            )
        if info.isfile() and _wanted(info.name):
            yield info.name, info.size, lambda info=info: file.extractfile(info)


def _check_name(name: str, archive: Path) -> None:
    path = PurePosixPath(name.replace('\\', '/'))
    if path.is_absolute() or '..' in path.parts or ':' in name or '\0' in name:
        raise DataError(
            f"The archive '{archive}' holds '{name}', which lies outside of the folder; it is not what it "
            'should be, nothing was unpacked.'
        )


def _wanted(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return '__MACOSX' not in parts and parts[-1] != '.DS_Store'


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
