"""Names the images of custom data, and says which images or videos train and which validate."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mask2former.errors import DataError, MissingFileError
from mask2former.formats.files import inside


def output_names(paths: Sequence[Path], root: Path) -> list[str]:
    """Where each file goes below the folder of its split: its name, or its path below ``root`` if names repeat.

    Raises:
        DataError: If two differ in their suffix only: their PNG files would be one; or if names repeat and a path leads
            out of ``root``.
    """
    names = [Path(path.name) for path in paths]
    if max(Counter(name.stem for name in names).values()) > 1:
        names = [Path(os.path.relpath(path, root)) for path in paths]
        for name in names:
            inside(root, name)
    seen: dict[Path, Path] = {}
    for name, path in zip(names, paths):
        other = seen.setdefault(name.with_suffix(''), path)
        if other is not path:
            raise DataError(f"'{other}' and '{path}' have the same name but for the suffix; rename one of them.")
    return [name.as_posix() for name in names]


def assign_splits(
    names: Sequence[str], *, val_share: float, seed: int, val_list: str | None, split: str | None
) -> list[str]:
    """Say of each image whether it trains or validates.

    A random choice hangs on the seed and the names alone, and hardly changes when images are added: the images are put
    in the order of a hash, and the first of them validate.

    Args:
        names: Names of the images, with their suffix.
        val_share: Share of the images that validate, from 0 to 1.
        seed: Other seeds choose others.
        val_list: Text file with the names, one a line, of those that validate; instead of a choice. The
            suffix may be left out.
        split: Put all images here.

    Returns:
        `train` or `val` for each.

    Raises:
        MissingFileError: If there is no such text file.
        DataError: If it names an unknown image, or one image shall be split.
    """
    if split:
        return [split] * len(names)
    if val_list:
        chosen = set(_read_names(Path(val_list), names))
    else:
        count = min(max(round(val_share * len(names)), 1), len(names) - 1) if val_share else 0
        if val_share and not count:
            raise DataError('A single one cannot be split; add more, or choose --split train.')
        chosen = set(sorted(names, key=lambda name: hashlib.sha256(f'{seed}/{name}'.encode()).digest())[:count])
    return ['val' if name in chosen else 'train' for name in names]


def _read_names(path: Path, names: Sequence[str]) -> list[str]:
    if not path.is_file():
        raise MissingFileError(f"The list '{path}' does not exist; correct --val-list.")
    known = {key: name for name in names for key in (Path(name).stem, Path(name).with_suffix('').as_posix(), name)}
    lines = [line.strip() for line in path.read_text(encoding='utf-8').splitlines()]
    unknown = [line for line in lines if line and line not in known]
    if unknown:
        raise DataError(
            f"'{unknown[0]}' of the list '{path}' is none of the images or videos; write their names, one a line."
        )
    return [known[line] for line in lines if line]
