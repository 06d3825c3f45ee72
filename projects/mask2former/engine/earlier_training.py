"""What is done about what an earlier training left in a work directory, where another one begins or it goes on."""

import shutil
from pathlib import Path

from mmengine.dist import barrier, broadcast_object_list, is_main_process

from mask2former.checkpoints.in_folder import SUFFIX, checkpoints_in
from mask2former.errors import ConfigError


def remove_halves(work_dir: str | Path) -> None:
    """Remove what processes that were killed had written of checkpoints; nobody may be writing there."""
    if is_main_process():
        for part in Path(work_dir).glob('*.pth.*.part'):
            part.unlink()


def mind_earlier_training(work_dir: str | Path, overwrite: bool) -> None:
    """Refuse a work directory with numbered checkpoints, or remove an earlier training from it.

    Two trainings would leave a mixture, of which a later ``--resume`` could take either.

    Args:
        work_dir: Where a training is to begin, not to go on.
        overwrite: Whether its checkpoints, the best ones among them, and what else is about them are removed.

    Raises:
        ConfigError: In all processes, if there are checkpoints which may not be overwritten.
    """
    work_dir = Path(work_dir)
    newest = [path.name for path in checkpoints_in(work_dir)[-1:]] if is_main_process() else []
    told = [newest]
    broadcast_object_list(told)
    if told[0] and not overwrite:
        raise ConfigError(
            f"'{work_dir}' has checkpoints of an earlier training, up to '{told[0][0]}': give --resume to go on with "
            'it, --overwrite to remove it and begin anew, or another --work-dir.'
        )
    if is_main_process() and overwrite:
        best = [path for ending in ('.pth', SUFFIX) for path in work_dir.glob(f'best_*{ending}')]
        for path in (*checkpoints_in(work_dir), *best, work_dir / 'last_checkpoint', work_dir / 'curve.json'):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    barrier()
