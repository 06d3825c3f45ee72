"""Files that are complete or absent, never half-written; JSON annotation files; links instead of copies; safe names."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mask2former.errors import ConfigError, DataError, MissingFileError
from mask2former.garbage import no_garbage_collection

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment]

LARGE = 2**24  # bytes of JSON from which on a faster reader is worth while, which makes floats of integers over 64 bits


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` write a file of another name in the same folder, which is made, then rename it.

    An error, a full disk or a killed process leaves what was at ``path`` before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def check_output(path: str | Path, is_folder: bool = False) -> None:
    """See, before long work, that a file or a folder can be written to; what is not there is not made.

    Raises:
        ConfigError: If it cannot.
    """
    path = Path(path)
    try:
        if path.exists() and path.is_dir() != is_folder:
            raise OSError(errno.EEXIST, f'it is a {"file" if is_folder else "folder"}')
        folder = (path if is_folder else path.parent).absolute()
        while not folder.exists():
            folder = folder.parent
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"Nothing can be written to '{path}' ({error.strerror}): give another place.") from None


def flush_to_disk(path: str | Path) -> None:
    """Wait until a file, or which files a folder has, would outlast a loss of power."""
    if os.name != 'posix' and os.path.isdir(path):
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY if os.name == 'posix' else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file, see :func:`write_atomically`."""
    write_atomically(path, lambda part: part.write_bytes(content))


def write_text(path: str | Path, content: str) -> None:
    """Write a text file in UTF-8, see :func:`write_atomically`."""
    write_bytes(path, content.encode('utf-8'))


def write_json(path: str | Path, content: Any) -> None:
    """Write a JSON file without spaces, see :func:`write_atomically`."""
    write_text(path, json.dumps(content, separators=(',', ':')))


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file in UTF-8.

    Raises:
        DataError: If it is in another code.
    """
    try:
        return Path(path).read_text(encoding='utf-8-sig').splitlines()
    except ValueError as error:
        raise DataError(f"'{path}' is no text file in UTF-8 ({error}); save it as one.") from None


def read_json(path: str | Path) -> dict:
    """Read an annotation file.

    Raises:
        MissingFileError: If there is no such file.
        DataError: If it is not a JSON object.
    """
    if not os.path.isfile(path):
        raise MissingFileError(f"Annotation file '{path}' does not exist; check data_root and ann_file.")
    try:
        with no_garbage_collection():
            content = parse_json(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:  # text within text within text
        raise DataError(f"Annotation file '{path}' is not valid JSON ({error}); get it again.") from None
    if not isinstance(content, dict):
        raise DataError(
            f"Annotation file '{path}' holds a {type(content).__name__}, but a COCO file is an object with "
            "'images', 'annotations' and 'categories'; give such a file."
        )
    return content


def parse_json(content: bytes) -> Any:
    """What JSON in UTF-8 says; if it is large, in a third of the time where orjson is installed.

    Raises:
        ValueError: If it is none.
        RecursionError: If it is nested too deeply.
    """
    if orjson is not None and len(content) >= LARGE:
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:  # Python's reader knows NaN, and says where a mistake is
            pass
    return json.loads(content.decode())


def leaves_folder(name: str | Path) -> bool:
    """Whether a path that is to be below some folder could lead out of it: it is absolute, an address or has ``..``."""
    text = str(name).replace('\\', '/')  # by Windows' rules, too; pathlib's are ten times slower
    begins_anew = text.startswith('/') or text[1:2] == ':'
    return begins_anew or '..' in text.split('/') or '://' in text or '\0' in text


def inside(folder: str | Path, name: str | Path) -> Path:
    """``folder / name``, of a name that was read from a file.

    Raises:
        DataError: If it is empty or could lead out of the folder.
    """
    if leaves_folder(name) or not Path(name).name:
        raise DataError(
            f"The file name '{name}' is no path below the folder '{folder}'; correct it in the file that gives it."
        )
    return Path(folder) / name


def file_below(folder: str, name: str, root: str = '') -> str:
    """The path of a file to read, ``folder / name``, of a name that was read from another file.

    Paths are compared as they are written, so that folders may be links.

    Args:
        folder: Where names begin.
        name: A path below it, or one with ``..`` or an absolute one that leads into ``folder`` or ``root``.
        root: A folder around ``folder`` whose other files may be read, too; '' for none.

    Raises:
        DataError: If it leads elsewhere.
    """
    path = os.path.join(folder, name)
    if not leaves_folder(name):
        return path
    path = os.path.normpath(path)
    places = [os.path.abspath(place) for place in (folder, root or folder)]
    if '://' in name or '\0' in name or not any(Path(os.path.abspath(path)).is_relative_to(place) for place in places):
        raise DataError(f"The file name '{name}' leads out of the folder '{root or folder or '.'}'; correct it.")
    return path


def link_or_copy(source: str | Path, target: str | Path, copy: bool = False) -> None:
    """Make a file appear in another folder: a hard link, or a copy where there are none or ``copy`` is true.

    A hard link needs no space and no rights, and moving or deleting the original leaves it whole.
    """
    source, target = os.path.realpath(source), Path(target)
    if target.exists() and target.samefile(source) and (not copy or target.resolve() == Path(source)):
        return  # of two links to one file, renaming would do nothing

    def write(part: Path) -> None:
        if copy or not _link(source, part):
            shutil.copyfile(source, part)

    write_atomically(target, write)


def _link(source: str, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:  # another file system, one without links, or a file of another user
        return False
    return True
