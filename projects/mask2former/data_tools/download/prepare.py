"""Brings an official data set: downloads what is missing, checks and unpacks it."""

from collections.abc import Sequence
from pathlib import Path

from mask2former.errors import DataError, near_names

from .fetch import fetch
from .releases import BY_HAND, RELEASES, RemoteFile
from .unpack import need_space, unpack


def prepare(name: str, out: str | Path, *, only: Sequence[str] | None = None, keep_archives: bool = False) -> str:
    """Download and unpack a data set.

    ``downloads/NAME.unpacked`` says that an archive is unpacked; until you delete it, it is not downloaded again.

    Args:
        name: A key of ``RELEASES`` or ``BY_HAND``.
        out: The folder of all data sets.
        only: The parts to bring, instead of all.
        keep_archives: Whether to leave the archives where they are when they are unpacked.

    Returns:
        What was done, for people.

    Raises:
        DataError: If the data set needs an account, a part is unknown, the disk has too little space, or a file cannot
            be had or is not what it should be.
    """
    out = Path(out)
    if name in BY_HAND:
        raise DataError(f'{BY_HAND[name].format(out=out)}.')
    if name not in RELEASES:
        raise DataError(f"There is no data set '{name}'; {near_names(name, [*RELEASES, *BY_HAND])}")
    release = RELEASES[name]
    for part in only or ():
        if part not in [file.part for file in release.files]:
            raise DataError(
                f"{release.title} has no part '{part}'; {near_names(part, [file.part for file in release.files])}"
            )
    files = [file for file in release.files if not only or file.part in only]
    todo = [file for file in files if not _stamp(out, file).is_file()]
    # An archive lies beside what was unpacked of it; most hold pictures, which do not become larger.
    sizes = [file.size or 0 for file in todo]
    need_space(out, 2 * sum(sizes) if keep_archives else sum(sizes) + max(sizes, default=0), release.title)
    for file in todo:
        archive = fetch(file, out / 'downloads')
        target = out / file.target
        unpack(archive, target)
        for inner in file.nested:
            unpack(target / inner, (target / inner).parent)
            (target / inner).unlink()
        _stamp(out, file).touch()
        if not keep_archives:
            archive.unlink()
    done = ', '.join(file.part for file in todo) or 'nothing to do'
    return (
        f'{release.title} ({done}) is in {out / release.files[-1].target}: {release.then}. {release.homepage} says '
        'who may use it.'
    )


def list_releases() -> str:
    """What there is, a line a part: its name, its size, and how it is checked."""
    lines = []
    for name, release in RELEASES.items():
        lines.append(f'{name}: {release.title}, {release.homepage}')
        for file in release.files:
            size = f'{file.size / 1e9:.2f} GB' if file.size else 'size unknown'
            check = f'{file.digest.partition(":")[0]} published' if file.digest else 'archive is tested'
            lines.append(f'  {file.part:<14}{size:<14}{check:<20}{file.url}')
    lines.append('by hand:')
    lines += [f'  {text.format(out="data")}' for text in BY_HAND.values()]
    return '\n'.join(lines)


def _stamp(out: Path, file: RemoteFile) -> Path:
    return out / 'downloads' / f'{file.name}.unpacked'
