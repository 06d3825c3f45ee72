"""The config that a command line of :mod:`mask2former.apis.cli` names, and the runner that it makes."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mask2former.checkpoints.zoo import find_config
from mask2former.errors import ConfigError, MissingFileError, MissingPackageError
from mask2former.formats.files import check_output
from mask2former.registry import RUNNERS

from .cli import spare_imports
from .config_check import check_config


def load_config(args: argparse.Namespace, complete: bool = False) -> Config:
    """The config that the command line names, with its changes; a published model may be named instead.

    ``complete`` says that all of a run is to be built, so that what is missing is a fault, too.

    Raises:
        MissingFileError: If there is no such config.
        MissingPackageError: If it imports something that is not there.
        ConfigError: If it, or a change, has faults; see :func:`~mask2former.apis.config_check.check_config`.
    """
    spare_imports()
    path = find_config(args.config)
    try:
        cfg = Config.fromfile(path)
    except ImportError as error:  # of custom_imports, or of a config's own imports
        cause: BaseException = error
        while (inner := cause.__cause__ or cause.__context__) is not None:
            cause = inner
        raise MissingPackageError(
            f"'{path}' imports what cannot be imported ({cause}): install it, or see that its folder is in PYTHONPATH."
        ) from None
    except FileNotFoundError as error:  # of `_base_`, at any depth
        raise MissingFileError(
            f"'{path}' inherits from a config that is not there: {error.filename or error}."
        ) from None
    change_config(cfg, args.cfg_options or {})
    check_config(cfg, args.cfg_options or {}, complete)
    return cfg


def change_config(cfg: Config, options: Mapping[str, Any]) -> None:
    """Set what ``--cfg-options`` says.

    Raises:
        ConfigError: If a key leads through something that has no parts, or past the end of a list.
    """
    for key, value in options.items():
        try:
            cfg.merge_from_dict({key: value})
        except (TypeError, KeyError) as error:
            raise ConfigError(f'{key} cannot be set: {_dead_end(cfg, key)}') from error


def _dead_end(cfg: Config, key: str) -> str:
    """Where the way to a key ends."""
    at: Any = cfg
    steps = key.split('.')
    for index, step in enumerate(steps):
        path = '.'.join(steps[:index])
        if isinstance(at, list):
            if not step.isdigit() or int(step) >= len(at):
                return f'{path} is a list of {len(at)}, so that {path}. is followed by a number below {len(at)}.'
            at = at[int(step)]
        elif isinstance(at, Mapping | Config) and step in at:
            at = at[step]
        else:
            return f'{path} is {at!r}, which has no parts.'
    return 'it has no parts.'


def load_run_config(args: argparse.Namespace) -> Config:
    """The config of a run: :func:`load_config` with launcher and working directory."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args, complete=True)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        path = Path(cfg.filename).resolve()
        # `mask2former train` calls each of its configs so; one training shall not go into the folder of another.
        cfg.work_dir = str(Path('work_dirs') / (path.parent.name if path.stem == 'config' else path.stem))
    check_output(cfg.work_dir, is_folder=True)
    return cfg


def build_runner(cfg: Config) -> Runner:
    """The runner that the config's ``runner_type`` names: of this package, mmdet or mmengine, by default mmengine's.

    Raises:
        ConfigError: If the config has faults; see :func:`~mask2former.apis.config_check.check_config`.
    """
    check_config(cfg)
    return RUNNERS.build(cfg)
