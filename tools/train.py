"""Train a model: python tools/train.py CONFIG [--resume [auto|PATH]] [--amp] [--compile] ..."""

import sys
from pathlib import Path

from mask2former.apis.cli import add_amp_arguments, amp_dtype, run_parser, run_tool
from mask2former.errors import MissingFileError


def config_first(arguments: list[str]) -> list[str]:
    """The command line with a config that follows ``--resume`` at the front: argparse would take it for the checkpoint.

    Only a checkpoint can follow ``--resume`` otherwise, and none ends in ``.py``.
    """
    for index, (flag, value) in enumerate(zip(arguments, arguments[1:])):
        if flag == '--resume' and value.endswith('.py'):
            return [value, *arguments[: index + 1], *arguments[index + 2 :]]
    return arguments


def main() -> None:
    parser = run_parser('Train a model.')
    parser.add_argument(
        '--resume', nargs='?', const='auto', metavar='PATH', help='resume from the last or from the given checkpoint'
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='remove the checkpoints of an earlier training from the work directory'
    )
    add_amp_arguments(parser, 'matching and losses stay')
    parser.add_argument(
        '--compile', action='store_true', help='compile backbone, pixel decoder and head with torch.compile'
    )
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate to the number of GPUs and the batch size'
    )
    args = parser.parse_args(config_first(sys.argv[1:]))
    if args.overwrite and args.resume is not None:
        parser.error('--overwrite removes what --resume goes on with: give one of them')
    if args.resume not in (None, 'auto') and '://' not in args.resume and not Path(args.resume).exists():
        raise MissingFileError(
            f"There is no checkpoint '{args.resume}' to resume: check the path, or give --resume "
            'alone for the last one of the work directory.'
        )
    from mask2former.apis.run_config import build_runner, load_run_config

    cfg = load_run_config(args)
    if (dtype := amp_dtype(args)) is not None:
        cfg.optim_wrapper.amp_dtype = dtype
    if args.compile:
        cfg.compile = cfg.get('compile') or True
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            parser.error(
                f'{args.config} has no auto_scale_lr.base_batch_size: add auto_scale_lr=dict(enable=False, '
                'base_batch_size=...) with the batch size that its learning rate is meant for.'
            )
        cfg.auto_scale_lr.enable = True
    if args.overwrite:
        cfg.overwrite = True
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    build_runner(cfg).train()


if __name__ == '__main__':
    run_tool(main)
