"""What the command-line tools share: their common flags, and a config made from them."""

import argparse
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from mask2former.checkpoints.zoo import find_config
from mask2former.errors import user_sentence
from mask2former.registry import RUNNERS


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool: what its user can fix ends it with one sentence, anything else with its traceback."""
    try:
        main()
        leave_distributed()
    except KeyboardInterrupt:
        sys.exit('Interrupted.')
    except Exception as error:
        sentence = user_sentence(error)
        if sentence is None:
            raise
        sys.exit(f'Error: {sentence}')


def leave_distributed() -> None:
    """End the communication between processes, if there is any, together.

    A process that exits with the threads of gloo still running is aborted now and then; one that leaves before the
    others takes away the store they still talk to.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()  # a model in a cycle of references would keep its group, and the threads, alive
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def config_parser(description: str) -> argparse.ArgumentParser:
    """A parser of a config and changes to it, for :func:`load_config`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='change settings of the config, e.g. train_cfg.max_iters=100 or key="[a,b]"',
    )
    return parser


def run_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the flags that training and testing share, for :func:`load_run_config`."""
    parser = config_parser(description)
    parser.add_argument('--work-dir', help='where logs and results go; default: work_dirs/<name of the config>')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser


def load_config(args: argparse.Namespace) -> Config:
    """The config that the command line names, with its changes; a published model may be named instead.

    Raises:
        MissingFileError: If there is no such config.
    """
    cfg = Config.fromfile(find_config(args.config))
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    return cfg


def load_run_config(args: argparse.Namespace) -> Config:
    """The config of a run: :func:`load_config` with launcher and working directory."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(cfg.filename).stem)
    return cfg


def build_runner(cfg: Config) -> Runner:
    """The runner that the config's ``runner_type`` names: of this package, mmdet or mmengine, by default mmengine's."""
    return RUNNERS.build(cfg)
