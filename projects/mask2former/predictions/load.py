"""Finds the config and the checkpoint that belong to what a person names."""

import os
from pathlib import Path

from mmengine.config import Config

from mask2former.checkpoints.zoo import find_config
from mask2former.errors import MissingFileError

from .hf_folder import config_of_hf_folder, is_hf_folder
from .predictor import Predictor


def load(
    run: str | os.PathLike,
    checkpoint: str | os.PathLike | None = None,
    *,
    task: str | None = None,
    device: str | None = None,
    score_thr: float = 0.3,
    tile: int | None = None,
    overlap: int | None = None,
) -> Predictor:
    """Load a trained model.

    Args:
        run: The folder of a training (of ``mask2former train`` or ``tools/train.py``) or one that transformers saved, a
            config, or the name of a published model.
        checkpoint: The weights; by default the best ones of the folder, or the last ones, or those of the name.
        task: 'panoptic', 'instance' or 'semantic': which results segments are made of. By default the first of these
            that the model gives.
        device: By default the GPU if there is one.
        score_thr: Instances with lower scores are left out.
        tile: Side of the tiles that images are cut into, which then need not fit into memory; by default what
            ``tile_model`` of the config says, or none.
        overlap: Pixels that neighbouring tiles share; by default a quarter of a tile.

    Raises:
        MissingFileError: If there is no such training, config or checkpoint.
        ConfigError: If transformers' folder is of a model that there is no config for.
    """
    config: Path | Config
    if is_hf_folder(Path(run)):
        config, weights = config_of_hf_folder(Path(run)), Path(run)
    elif Path(run).is_dir():
        config, weights = locate_run(run)
    else:
        config, weights = find_config(os.fspath(run)), None
    if checkpoint is None:
        checkpoint = weights or _named(run)
    return Predictor(config, checkpoint, task=task, device=device, score_thr=score_thr, tile=tile, overlap=overlap)


def locate_run(folder: str | os.PathLike) -> tuple[Path, Path]:
    """The config and the best checkpoint, or else the last one, of the folder of a training.

    Raises:
        MissingFileError: If one of them is not there.
    """
    folder = Path(folder)
    inner = folder / 'train'
    work_dir = inner if (inner / 'last_checkpoint').is_file() or any(inner.glob('*.pth')) else folder
    configs = [folder / 'config.py'] if (folder / 'config.py').is_file() else sorted(work_dir.glob('*.py'))
    if len(configs) != 1:
        found = 'several configs' if configs else 'no config'
        raise MissingFileError(f"'{folder}' has {found}: give the folder of a training, or a config and a checkpoint.")
    return configs[0], best_checkpoint(work_dir)


def best_checkpoint(work_dir: Path) -> Path:
    """The checkpoint of a work directory that validated best, or, where none was validated, the last one.

    Raises:
        MissingFileError: If there is none.
    """
    best = sorted(work_dir.glob('best_*.pth'), key=lambda path: path.stat().st_mtime)
    if best:
        return best[-1]
    note = work_dir / 'last_checkpoint'
    if note.is_file():
        last = work_dir / Path(note.read_text(encoding='utf-8').strip()).name  # the folder may have been moved
        if last.is_file():
            return last
    raise MissingFileError(f"'{work_dir}' has no checkpoint: the training did not come so far; or give one.")


def _named(run: str | os.PathLike) -> str:
    """The weights of a published model; a config alone has none."""
    if Path(run).is_file():
        raise MissingFileError(f"'{run}' is a config, which needs a checkpoint beside it: give one.")
    return os.fspath(run)
