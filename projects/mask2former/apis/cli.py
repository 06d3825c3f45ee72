"""What the command-line tools share: their common flags, and a config made from them."""

import argparse
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from mask2former.checkpoints.zoo import find_config
from mask2former.errors import ConfigError, MissingFileError, MissingPackageError, user_sentence
from mask2former.formats.files import check_output
from mask2former.registry import RUNNERS

from .config_check import check_config


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool: what its user can fix ends it with one sentence, anything else with its traceback."""
    gc.freeze()  # what was imported is no garbage: mmengine collects with each data set, a tenth of a second among that
    try:
        main()
        leave_distributed()
    except KeyboardInterrupt:
        print('Interrupted.', file=sys.stderr)
        sys.exit(128 + signal.SIGINT)  # as shells have it
    except Exception as error:
        sentence = user_sentence(error)
        if sentence is None:
            raise
        tell_torchrun(sentence)
        sys.exit(f'Error: {sentence}')


def tell_torchrun(sentence: str) -> None:
    """Let torchrun end its report of a failure with the sentence, which would stand far above it otherwise."""
    path = os.environ.get('TORCHELASTIC_ERROR_FILE')
    if path:
        message = dict(message=sentence, extraInfo=dict(timestamp=str(int(time.time()))))
        Path(path).write_text(json.dumps(dict(message=message)), encoding='utf-8')


def leave_distributed() -> None:
    """End the communication between processes, if there is any, together.

    A process that exits with the threads of gloo still running is aborted now and then; one that leaves before the
    others takes away the store they still talk to.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()  # a model in a cycle of references would keep its group, and the threads, alive
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


class Options(DictAction):
    """mmengine's reader of KEY=VALUE; what is no such pair ends the tool with a sentence."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        for value in values or ():
            if '=' not in value:
                parser.error(
                    f"{option_string} takes KEY=VALUE pairs, but '{value}' has no '=': write KEY={value} if it is a "
                    f'value, or put it before {option_string}.'
                )
            if value.startswith('='):
                parser.error(f"{option_string} takes KEY=VALUE pairs, but '{value}' has no key.")
        try:
            super().__call__(parser, namespace, values, option_string)
        except AssertionError as error:
            parser.error(f'{option_string}: {error}.')
        except RecursionError:  # what mmengine's reader makes of commas within dict(...) or {...}
            parser.error(
                f'{option_string} takes no dictionaries with commas: give each key by itself, as in '
                'model.tracking.num_frames=4 model.tracking.overlap=1.'
            )


def config_parser(description: str) -> argparse.ArgumentParser:
    """A parser of a config and changes to it, for :func:`load_config`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file, or the folder of a training')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        metavar='KEY=VALUE',
        help='change settings of the config, e.g. train_cfg.max_iters=100 or key="[a,b]"',
    )
    return parser


def run_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the flags that training and testing share, for :func:`load_run_config`."""
    parser = config_parser(description)
    parser.add_argument(
        '--work-dir',
        help='where logs and results go; default: work_dirs/<name of the config, or of its folder if it is config.py>',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``, for programs; see :func:`words_aside`."""
    parser.add_argument('--json', action='store_true', help='the last line is a JSON object; all else goes to stderr')


def words_aside(json: bool) -> AbstractContextManager:
    """Within it, what is printed for people goes to the error stream where the output is for a program."""
    return redirect_stdout(sys.stderr) if json else nullcontext()


def load_config(args: argparse.Namespace, complete: bool = False) -> Config:
    """The config that the command line names, with its changes; a published model may be named instead.

    ``complete`` says that all of a run is to be built, so that what is missing is a fault, too.

    Raises:
        MissingFileError: If there is no such config.
        MissingPackageError: If it imports something that is not there.
        ConfigError: If it, or a change, has faults; see :func:`~mask2former.apis.config_check.check_config`.
    """
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
