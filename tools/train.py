"""Train a model: python tools/train.py CONFIG [--resume [auto|PATH]] [--amp [float16]] [--compile] ..."""

import sys
from pathlib import Path

import mask2former.compat  # noqa: F401, I001  (before anything that imports mmdet)
from mask2former.apis.cli import build_runner, load_run_config, run_parser, run_tool
from mask2former.errors import MissingFileError

AMP_DTYPES = ('bfloat16', 'float16')


def main() -> None:
    parser = run_parser('Train a model.')
    parser.add_argument(
        '--resume', nargs='?', const='auto', metavar='PATH', help='resume from the last or from the given checkpoint'
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const=AMP_DTYPES[0],
        choices=AMP_DTYPES,
        help='mixed precision, in bfloat16 if no type is named; the matching and the loss stay in float32',
    )
    parser.add_argument(
        '--compile', action='store_true', help='compile backbone, pixel decoder and head with torch.compile'
    )
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate to the number of GPUs and the batch size'
    )
    # A bare --amp before the config must not take the config for its type.
    following = [*sys.argv[2:], '']
    args = parser.parse_args(
        [
            f'--amp={AMP_DTYPES[0]}' if argument == '--amp' and after not in AMP_DTYPES else argument
            for argument, after in zip(sys.argv[1:], following)
        ]
    )
    if args.resume not in (None, 'auto') and '://' not in args.resume and not Path(args.resume).is_file():
        raise MissingFileError(
            f"There is no checkpoint '{args.resume}' to resume: check the path, or give --resume "
            'alone for the last one of the work directory.'
        )
    cfg = load_run_config(args)
    if args.amp:
        cfg.optim_wrapper.amp_dtype = args.amp
    if args.compile:
        cfg.compile = cfg.get('compile') or True
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            parser.error(
                f'{args.config} has no auto_scale_lr.base_batch_size: add auto_scale_lr=dict(enable=False, '
                'base_batch_size=...) with the batch size that its learning rate is meant for.'
            )
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    build_runner(cfg).train()


if __name__ == '__main__':
    run_tool(main)
