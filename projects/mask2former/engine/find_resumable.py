"""The newest whole checkpoint of a work directory, whatever an interrupted training left in it."""

import logging
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from mask2former.checkpoints.read import check_sums
from mask2former.checkpoints.sharded_folder import SUFFIX, folder_fault
from mask2former.errors import CheckpointError

_NUMBERED = re.compile(r'(?:iter|epoch)_(\d+)\.(?:pth|dcp)')


def find_resumable(work_dir: str | Path) -> str | None:
    """The newest whole checkpoint that a training left; the first process looks, all are told.

    Checkpoints lie in the work directory, as ``iter_*.pth`` or ``epoch_*.pth``, sharded ones as folders that end in
    ``.dcp``, or in the folder of the one that ``last_checkpoint`` names. That file may be absent, empty or older than
    the newest checkpoint, and names an absolute path, which is wrong where the directory was moved. A checkpoint that
    is cut off or damaged is passed over with a warning.

    Returns:
        Its path; None if there is no checkpoint at all.

    Raises:
        CheckpointError: If there are checkpoints, but none is whole.
    """
    found = [_newest_whole(Path(work_dir)) if is_main_process() else None]
    broadcast_object_list(found)
    if isinstance(found[0], CheckpointError):
        raise found[0]
    return found[0]


def checkpoints_in(work_dir: str | Path) -> list[Path]:
    """The numbered checkpoints directly in a work directory, the oldest first."""
    numbers = _numbers([Path(work_dir)])
    return sorted(numbers, key=lambda path: numbers[path])


def _numbers(folders: Iterable[Path]) -> dict[Path, int]:
    """The numbered checkpoints directly in folders, those of the first folder first."""
    return {
        path: int(match[1])
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
        if (match := _NUMBERED.fullmatch(path.name))
    }


def _newest_whole(work_dir: Path) -> str | CheckpointError | None:
    folders = {work_dir: None}  # in order, each once
    note = work_dir / 'last_checkpoint'
    named = _named_in(note)
    if named is not None:
        folders[named.parent] = None
    numbers = _numbers(folders)
    candidates = sorted(numbers, key=lambda path: numbers[path], reverse=True)
    if named is not None and not numbers:  # a file name of the user's own
        candidates = [path for path in (work_dir / named.name, named) if path.exists()]
        if not candidates:
            return str(named)  # whoever opens it says that it is gone
    for path in candidates:
        reason = _fault(path)
        if reason is None:
            if named is not None and named.name != path.name:
                print_log(f"'{note}' names '{named.name}'; '{path.name}' is resumed.", 'current')
            return str(path)
        print_log(f"'{path}' is not whole ({reason}): the one before it is looked for.", 'current', logging.WARNING)
    if candidates:
        return CheckpointError(
            f"None of the {len(candidates)} checkpoints in '{candidates[0].parent}' is whole: start again without "
            '--resume, in another --work-dir.'
        )
    return None


def _named_in(note: Path) -> Path | None:
    """The path in a ``last_checkpoint`` file, if there is one."""
    try:
        text = note.read_text(encoding='utf-8').strip()
    except (OSError, ValueError):
        return None
    return Path(text) if text.isprintable() and text.endswith(('.pth', SUFFIX)) else None


def _fault(path: Path) -> str | None:
    """What is wrong with a file of ``torch.save``, or a folder of shards; None if it is whole."""
    if path.suffix == SUFFIX:
        return folder_fault(path)
    try:
        if not zipfile.is_zipfile(path):
            return 'it is cut off or no file of torch.save'
        check_sums(path)
    except Exception as error:  # a damaged file can raise anything
        return str(error)
    return None
