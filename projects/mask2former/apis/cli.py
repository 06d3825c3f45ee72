"""What the command-line tools share: how they end, and their common flags.

It imports neither torch nor what needs it: a tool parses its arguments first.
"""

import argparse
import functools
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout, suppress
from typing import Any, NoReturn

from mask2former.checkpoints.zoo import find_config
from mask2former.errors import user_sentence
from mask2former.formats.files import write_json


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool: what its user can fix ends it with one sentence, anything else with its traceback."""
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


@functools.cache
def spare_imports() -> None:
    """Keep the garbage collector off what was imported, which is no garbage, once a tool has imported what it needs.

    mmengine collects with each data set, a tenth of a second among that.
    """
    gc.freeze()


def tell_torchrun(sentence: str) -> None:
    """Let torchrun end its report of a failure with the sentence, which would stand far above it otherwise."""
    path = os.environ.get('TORCHELASTIC_ERROR_FILE')
    if path:
        message = dict(message=sentence, extraInfo=dict(timestamp=str(int(time.time()))))
        with suppress(OSError):  # a full disk must not hide the sentence
            write_json(path, dict(message=message))  # whole, or torchrun could not read it


def leave_distributed() -> None:
    """End the communication between processes, if there is any, together.

    A process that exits with the threads of gloo still running is aborted now and then; one that leaves before the
    others takes away the store they still talk to.
    """
    torch = sys.modules.get('torch')
    if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()  # a model in a cycle of references would keep its group, and the threads, alive
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


class Options(argparse.Action):
    """Settings KEY=VALUE, of which mmengine reads the values; what is no such pair ends the tool with a sentence."""

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
        from mmengine.config import DictAction  # with it comes torch

        try:
            DictAction(self.option_strings, self.dest)(parser, namespace, values, option_string)
        except AssertionError as error:
            parser.error(f'{option_string}: {error}.')
        except RecursionError:  # what mmengine's reader makes of commas within dict(...) or {...}
            parser.error(
                f'{option_string} takes no dictionaries with commas: give each key by itself, as in '
                'model.tracking.num_frames=4 model.tracking.overlap=1.'
            )


class ConfigParser(argparse.ArgumentParser):
    """A parser of a command line with a config, which sees at once whether there is such a config."""

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """As argparse does it.

        Raises:
            UserError: If there is no such config, before torch is imported, which takes seconds.
        """
        parsed = super().parse_args(args, namespace)
        if not os.path.isdir(parsed.config):
            find_config(parsed.config)
        return parsed

    def error(self, message: str) -> NoReturn:
        """As argparse does it; torchrun, which may have started this, is told why."""
        tell_torchrun(message)
        super().error(message)


def config_parser(description: str) -> argparse.ArgumentParser:
    """A parser of a config and changes to it, for
    :func:`~mask2former.apis.run_config.load_config`."""
    parser = ConfigParser(description=description)
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
    """A parser with the flags that training and testing share, for
    :func:`~mask2former.apis.run_config.load_run_config`."""
    parser = config_parser(description)
    parser.add_argument(
        '--work-dir',
        help='where logs and results go; default: work_dirs/<name of the config, or of its folder if it is config.py>',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser


def add_tile_arguments(parser: argparse.ArgumentParser) -> None:
    """The options ``--tile`` and ``--overlap``."""
    parser.add_argument(
        '--tile',
        type=int,
        metavar='N',
        help='test each image in tiles of N x N pixels, which are merged (default: tile_model of the config, or whole)',
    )
    parser.add_argument(
        '--overlap', type=int, metavar='M', help='pixels that neighbouring tiles share (default: a quarter of a tile)'
    )


def add_amp_arguments(parser: argparse.ArgumentParser, rest: str) -> None:
    """The options ``--amp`` and ``--amp-dtype``, see :func:`amp_dtype`; ``rest`` says what stays in float32."""
    parser.add_argument('--amp', action='store_true', help=f'mixed precision; {rest} in float32')
    parser.add_argument(
        '--amp-dtype', choices=['bfloat16', 'float16'], help='type of --amp, which it implies (default: bfloat16)'
    )


def amp_dtype(args: argparse.Namespace) -> str | None:
    """The type that these options ask for."""
    return args.amp_dtype or ('bfloat16' if args.amp else None)


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``, for programs; see :func:`words_aside`."""
    parser.add_argument('--json', action='store_true', help='the last line is a JSON object; all else goes to stderr')


def words_aside(json: bool) -> AbstractContextManager:
    """Within it, what is printed for people goes to the error stream where the output is for a program."""
    return redirect_stdout(sys.stderr) if json else nullcontext()
