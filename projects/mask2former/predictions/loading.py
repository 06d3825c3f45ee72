"""Finds the config and the checkpoint that belong to what a person names."""

import os
from pathlib import Path

from mmengine.config import Config

from mask2former.checkpoints.in_folder import checkpoints_in, last_named
from mask2former.checkpoints.zoo import configs_in, find_config
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
    amp_dtype: str | None = None,
) -> Predictor:
    """Load a trained model.

    Args:
        run: The folder of a training (of ``mask2former train`` or ``tools/train.py``) or one that transformers saved, a
            checkpoint of a training in its folder, a config, or the name of a published model.
        checkpoint: The weights; by default the best ones of the folder, or the last ones, or those of the name.
        task: 'panoptic', 'instance' or 'semantic': which results segments are made of. By default the first of these
            that the model gives.
        device: By default the GPU if there is one.
        score_thr: Instances with lower scores are left out.
        tile: Side of the tiles that images are cut into, which then need not fit into memory; by default what
            ``tile_model`` of the config says, or none.
        overlap: Pixels that neighbouring tiles share; by default a quarter of a tile.
        amp_dtype: 'bfloat16', or on a GPU 'float16', for mixed precision: less time and memory where the device has
            such numbers.

    Raises:
        MissingFileError: If there is no such training, config or checkpoint.
        ConfigError: If transformers' folder is of a model that there is no config for.
    """
    config, checkpoint = locate(run, checkpoint)
    return Predictor(
        config,
        checkpoint,
        task=task,
        device=device,
        score_thr=score_thr,
        tile=tile,
        overlap=overlap,
        amp_dtype=amp_dtype,
    )


def locate(
    run: str | os.PathLike, checkpoint: str | os.PathLike | None = None
) -> tuple[Path | Config, str | os.PathLike]:
    """The config and the weights that a person means; arguments and errors as of :func:`load`."""
    path = Path(run)
    if is_hf_folder(path):
        return config_of_hf_folder(path), checkpoint or path
    if path.is_dir():
        return (_config_of(path), checkpoint) if checkpoint else locate_run(path)
    if path.is_file() and path.suffix != '.py' and checkpoint is None:
        in_training = path.parent.name == 'train' and (path.parents[1] / 'config.py').is_file()
        return _config_of(path.parents[1] if in_training else path.parent), path
    return find_config(os.fspath(run)), checkpoint or _named(run)


def locate_run(folder: str | os.PathLike) -> tuple[Path, Path]:
    """The config and the best checkpoint, or else the last one, of the folder of a training.

    Raises:
        MissingFileError: If one of them is not there.
    """
    folder = Path(folder)
    return _config_of(folder), best_checkpoint(_work_dir(folder))


def _work_dir(folder: Path) -> Path:
    inner = folder / 'train'
    return inner if (inner / 'last_checkpoint').is_file() or any(inner.glob('*.pth')) else folder


def _config_of(folder: Path) -> Path:
    configs = configs_in(folder) or configs_in(_work_dir(folder))
    if len(configs) != 1:
        found = 'several configs' if configs else 'no config'
        raise MissingFileError(f"'{folder}' has {found}: give the folder of a training, or a config and a checkpoint.")
    return configs[0]


def best_checkpoint(work_dir: Path) -> Path:
    """The checkpoint of a work directory that validated best, or, where none was validated, the last one.

    Raises:
        MissingFileError: If there is none.
    """
    found = [*work_dir.glob('best_*.pth'), *work_dir.glob('best_*.dcp')]
    best = sorted(found, key=lambda path: path.stat().st_mtime)
    if best:
        return best[-1]
    named = last_named(work_dir)
    there = checkpoints_in(work_dir)
    if named is not None and (work_dir / named.name).exists():  # by its name alone: the folder may have been moved
        there.append(work_dir / named.name)
    if there:
        return there[-1]
    raise MissingFileError(f"'{work_dir}' has no checkpoint: the training did not come so far; or give one.")


def _named(run: str | os.PathLike) -> str:
    """The weights of a published model; a config alone has none."""
    if Path(run).is_file():
        raise MissingFileError(f"'{run}' is a config, which needs a checkpoint beside it: give one.")
    return os.fspath(run)
