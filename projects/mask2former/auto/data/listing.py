"""What files there are below a folder, listed once; names in annotation files are looked up in the list alone."""

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path, PureWindowsPath

from mask2former.errors import DataError, MissingFileError
from mask2former.formats.files import leaves_folder
from mask2former.formats.images import SUFFIXES

# Of folders with the same names, images are not in one of these.
FOR_LABELS = re.compile('mask|label|annotation|semantic|segment|panoptic|instance|object|gt|truth|target', re.I)
LEFT_OUT = ('__MACOSX', '__pycache__')


class Listing:
    """The files below a folder, without hidden ones.

    As nothing else is ever opened, a name in an annotation file cannot lead out of the folder.

    Args:
        root: The folder.
        files: Paths below it with slashes; found where None.

    Raises:
        MissingFileError: If there is no such folder.
        DataError: If the name of a file is no text.
    """

    def __init__(self, root: Path, files: Iterable[str] | None = None) -> None:
        if not root.is_dir():
            raise MissingFileError(f"The folder '{root}' does not exist; correct the path.")
        self.root = root
        self.files = tuple(sorted(_walk(root) if files is None else files))
        for name in (os.fspath(root.absolute()), *self.files):
            try:
                name.encode()
            except UnicodeEncodeError:
                raise DataError(
                    f'The name {name!r} is not in UTF-8, so no annotation can hold it; rename it.'
                ) from None

    def without(self, files: Iterable[str]) -> 'Listing':
        """The list without some of its files."""
        return Listing(self.root, set(self.files) - set(files))

    def ending(self, *suffixes: str) -> list[str]:
        """The files with one of the suffixes, in small letters or capitals."""
        return [name for name in self.files if name.lower().endswith(suffixes)]

    @cached_property
    def images(self) -> list[str]:
        """The files that are images by their name."""
        return self.ending(*SUFFIXES)

    @cached_property
    def folders(self) -> dict[str, list[str]]:
        """The names of the files in each folder that has any; the root is ''."""
        result: dict[str, list[str]] = {}
        for name in self.files:
            folder, base = posixpath.split(name)
            result.setdefault(folder, []).append(base)
        return result

    @cached_property
    def known(self) -> frozenset[str]:
        """All files."""
        return frozenset(self.files)

    @cached_property
    def _of_base(self) -> dict[str, list[str]]:
        result: dict[str, list[str]] = {}
        for name in self.files:
            result.setdefault(posixpath.basename(name), []).append(name)
        return result

    def path(self, name: str) -> Path:
        """The whole path of a file of the list."""
        return self.root / name

    def find(self, name: str, folders: Iterable[str] = (), near: str | None = None) -> str | None:
        """Find a file that an annotation names.

        Args:
            name: As it is written, perhaps with backslashes, drives or ``..``.
            folders: Where it may lie; tried first.
            near: A folder: of several files of that name the one below it is meant.

        Returns:
            Its path in the list; None where there is none, or several.
        """
        clean = PureWindowsPath(name).as_posix()
        for folder in folders:
            candidate = posixpath.normpath(posixpath.join(folder, clean)) if not posixpath.isabs(clean) else clean
            if candidate in self.known:
                return candidate
        found = self._of_base.get(posixpath.basename(clean), [])
        if len(found) > 1 and not leaves_folder(name):
            found = [path for path in found if f'/{path}'.endswith(f'/{clean}')] or found
        if len(found) > 1 and near is not None:
            found = [path for path in found if path.startswith(f'{near}/')] or found
        return found[0] if len(found) == 1 else None


def folder_of(name: str) -> str:
    """The folder of a file, '' for the root."""
    return posixpath.dirname(name)


def stem_of(name: str) -> str:
    """The name of a file without folder and suffix."""
    return posixpath.splitext(posixpath.basename(name))[0]


def _walk(root: Path) -> Iterator[str]:
    seen: set[str] = set()  # links may go round
    for parent, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith('.') and name not in LEFT_OUT)
        below = Path(parent).relative_to(root)
        for name in names:
            if not name.startswith('.'):
                yield (below / name).as_posix()
