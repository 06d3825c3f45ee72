"""Results of very many images: which part a process does, and a file of lines that a killed process can go on with."""

import heapq
import json
import os
from argparse import ArgumentTypeError
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from filelock import FileLock, Timeout

from mask2former.errors import ConfigError, DataError, MissingFileError
from mask2former.formats.fields import is_count, wrong_field
from mask2former.formats.files import write_atomically

_FLUSHED_EVERY = 64  # lines


class Shard(NamedTuple):
    """One of ``parts`` parts of a list: every ``parts``-th of it, from the ``number``-th on, which counts from 1."""

    number: int = 1
    parts: int = 1

    @property
    def file_name(self) -> str:
        return f'results-{self.number}-of-{self.parts}.jsonl'

    def of(self, names: Sequence[str]) -> list[tuple[int, str]]:
        """The part of a list: pairs of a place in the list and what is there."""
        return [(place, names[place]) for place in range(self.number - 1, len(names), self.parts)]


def parse_shard(text: str) -> Shard:
    """Read ``2/8``.

    Raises:
        ArgumentTypeError: If it is no such thing.
    """
    number, slash, count = text.partition('/')
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ArgumentTypeError(f"'{text}' is no shard: write 1/8 for the first of eight, 8/8 for the last")
    return Shard(int(number), int(count))


def find_images(images: str | Path, suffixes: Sequence[str]) -> tuple[Path, list[str]]:
    """The images below a folder at any depth, in the order of their names, or those that a text file lists.

    Args:
        images: A folder, or a text file with a path in each line, absolute or from the folder of the file.
        suffixes: What names of images end with, in small letters.

    Returns:
        The folder, and the names from there.

    Raises:
        MissingFileError: If there is no such folder or file.
        DataError: If there is no image.
    """
    root = Path(images)
    if root.is_file():
        # Names of files may be any bytes; \0 is in none.
        names = [line for line in os.fsdecode(root.read_bytes()).splitlines() if line.strip()]
        if odd := next((name for name in names if '\0' in name), None):
            raise DataError(f"'{root}' is no list of images: a line is {odd[:40]!r}; write a path in each.")
        where, root = f"The file '{root}'", root.parent
    elif root.is_dir():
        names = sorted(
            os.path.relpath(os.path.join(folder, name), root)
            for folder, _, files in os.walk(root)
            for name in files
            if os.path.splitext(name)[1].lower() in suffixes
        )
        where = f"The folder '{root}'"
    else:
        raise MissingFileError(f"There is no folder or list of images '{root}'.")
    if not names:
        raise DataError(f'{where} has no image ({", ".join(suffixes)}).')
    return root, names


class ResultLog:
    """A file of results, a line of JSON each; its first line says of what they are.

    A line is there whole or not at all: what a killed process or a full disk left of one is cut off when the file is
    opened again, and only one process has it open.

    Args:
        path: The file; its folder is made.
        header: What the results depend on, as plain values.

    Attributes:
        done (int): The lines that are there, less the first.

    Raises:
        ConfigError: If the file is of another header, or another process writes it.
        DataError: If it is no such file.
    """

    def __init__(self, path: str | Path, header: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f'{self.path}.lock')
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(f"Another process writes '{self.path}': give each its own --shard.") from None
        self._lines = 0
        self._file = open(self.path, 'ab', buffering=0)  # a buffer would keep what a full disk did not take
        try:
            self.done = self._read(dict(header))
        except BaseException:
            self.close()
            raise

    def _read(self, header: dict[str, Any]) -> int:
        with self.path.open('rb') as file:
            first = file.readline()
            done, whole = 0, len(first)
            for line in file:
                if line.endswith(b'\n'):
                    done += 1
                    whole += len(line)
        if not first.endswith(b'\n'):  # nothing, or what was left of it
            self._file.truncate(0)
            self.append(header)
            return 0
        found = _parse(first, self.path)
        different = [key for key in {**header, **found} if header.get(key) != found.get(key)]
        if different:
            key = different[0]
            raise ConfigError(
                f"'{self.path}' has results of another run ({key} was {found.get(key)!r} and is {header.get(key)!r}): "
                'give another --out, or delete the file.'
            )
        self._file.truncate(whole)
        return done

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a line.

        Raises:
            OSError: If it cannot be written; the file is as before, then.
        """
        end = self._file.seek(0, os.SEEK_END)
        rest = json.dumps(record, separators=(',', ':')).encode() + b'\n'
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._file.truncate(end)
            raise OSError(error.errno, error.strerror, str(self.path)) from None
        self._lines += 1
        if self._lines % _FLUSHED_EVERY == 0:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file and let others have it."""
        self._file.close()
        self._lock.release()

    def __enter__(self) -> 'ResultLog':
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def merge(folder: str | Path) -> tuple[Path, int]:
    """Put the lines of all shards of a folder into ``results.jsonl``, in the order of the images, without headers.

    A line of each shard is in memory at a time.

    Returns:
        The file, and its lines.

    Raises:
        MissingFileError: If a shard is absent.
        DataError: If results are absent, or shards are of several runs.
    """
    folder = Path(folder)
    paths = sorted(folder.glob('results-*-of-*.jsonl'))
    if not paths:
        raise MissingFileError(f"'{folder}' has no results of tools/predict.py.")
    with ExitStack() as stack:
        files = [stack.enter_context(path.open('rb')) for path in paths]
        headers = [_parse(file.readline(), path) for file, path in zip(files, paths)]
        if (key := wrong_field(headers[0], {'images': is_count, 'shards': is_count})) is not None:
            raise DataError(f"'{paths[0]}' is no file of results, or it is damaged: its first line has no {key}.")
        total, count = headers[0]['images'], headers[0]['shards']
        for path, header in zip(paths, headers):
            if header != headers[0]:
                raise DataError(f"'{path}' and '{paths[0]}' are of different runs: give each its own folder.")
        there = {path.name for path in paths}
        absent = next((name for i in range(count) if (name := Shard(i + 1, count).file_name) not in there), None)
        if absent is not None:
            raise MissingFileError(f"'{folder}' lacks {absent}: run tools/predict.py with that --shard.")
        merged = heapq.merge(*(_lines(file, path) for file, path in zip(files, paths)))
        written = 0

        def write(part: Path) -> None:
            nonlocal written
            with part.open('wb') as out:
                for index, line in merged:
                    if index != written:
                        raise DataError(
                            f"'{folder}' lacks the result of image {written} of {total}: run tools/predict.py with "
                            f'--shard {written % count + 1}/{count} again.'
                        )
                    out.write(line)
                    written += 1
            if written != total:
                raise DataError(
                    f"'{folder}' has {written} of {total} results: run tools/predict.py with --shard "
                    f'{written % count + 1}/{count} again.'
                )

        write_atomically(folder / 'results.jsonl', write)
    return folder / 'results.jsonl', written


def _lines(file: BinaryIO, path: Path) -> Iterator[tuple[int, bytes]]:
    """Places and whole lines, in order."""
    for line in file:
        if line.endswith(b'\n'):
            record = _parse(line, path)
            if not is_count(record.get('index')):
                raise DataError(f"'{path}' is damaged: a line has no index; delete the file, and predict it again.")
            yield record['index'], line


def _parse(line: bytes, path: Path) -> dict[str, Any]:
    try:
        record = json.loads(line)
        if isinstance(record, dict):
            return record
    except (ValueError, RecursionError):
        pass
    raise DataError(f"'{path}' is no file of results, or it is damaged: give another --out, or delete the file.")
