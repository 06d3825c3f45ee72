"""The newest whole checkpoint of a work directory, whatever an interrupted training left in it."""

import logging
import zipfile
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from mask2former.checkpoints.in_folder import SUFFIX, checkpoints_in, last_named
from mask2former.checkpoints.read import check_sums
from mask2former.checkpoints.sharded_folder import folder_fault
from mask2former.errors import CheckpointError


def find_resumable(work_dir: str | Path) -> str | None:
    """The newest whole checkpoint that a training left; the first process looks, all are told.

    Checkpoints lie in the work directory, as ``iter_*.pth`` or ``epoch_*.pth``, sharded ones as folders that end in
    ``.dcp``; where it has none, in the folder of the one that ``last_checkpoint`` names. That file may be absent, empty
    or older than the newest checkpoint, and names an absolute path, which is wrong where the directory was moved or
    copied. A checkpoint that is cut off or damaged is passed over with a warning.

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


def _newest_whole(work_dir: Path) -> str | CheckpointError | None:
    named = last_named(work_dir)
    candidates = checkpoints_in(work_dir)
    if not candidates and named is not None:  # they go to another folder, or have names of the user's own
        candidates = checkpoints_in(named.parent)
        candidates = candidates or [path for path in (named, work_dir / named.name) if path.exists()]
        if not candidates:
            return str(named)  # whoever opens it says that it is gone
    candidates.reverse()
    for path in candidates:
        reason = _fault(path)
        if reason is None:
            if named is not None and named.name != path.name:
                print_log(f"'{work_dir / 'last_checkpoint'}' names '{named}'; '{path}' is resumed.", 'current')
            return str(path)
        print_log(f"'{path}' is not whole ({reason}): the one before it is looked for.", 'current', logging.WARNING)
    if candidates:
        return CheckpointError(
            f"None of the {len(candidates)} checkpoints in '{candidates[0].parent}' is whole: start again without "
            '--resume, in another --work-dir.'
        )
    return None


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
