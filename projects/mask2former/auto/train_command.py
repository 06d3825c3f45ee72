"""Train on a folder of annotated images: mask2former train DATA [--time 30m | --epochs N] [--model M] [--out DIR]"""

import argparse
import json
import re

from mask2former.apis.cli import add_json_argument, spare_imports, words_aside
from mask2former.data_tools.arguments import positive

from .choices import MODELS

_UNITS = dict(s=1, m=60, h=3600)


def parse_time(text: str) -> float:
    """Seconds of a time such as '90s', '30m', '1h30m' or '1.5h'; a plain number is minutes.

    Raises:
        argparse.ArgumentTypeError: If it is none, or 0.
    """
    parts = re.findall(r'(\d+(?:\.\d+)?)([smh])', text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if re.fullmatch(r'\d+(\.\d+)?', text):
        seconds = 60 * float(text)
    elif ''.join(number + unit for number, unit in parts) != text:
        seconds = 0
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no time: write 90s, 30m or 1h30m")
    return seconds


def parser() -> argparse.ArgumentParser:
    """Of the command."""
    result = argparse.ArgumentParser(
        prog='mask2former train',
        description='Train on a folder (or file) of annotated images. Its format is recognised; every setting is '
        'chosen and said, and written as a config, from which a person can go on. With a config for DATA, '
        'this is tools/train.py.',
    )
    result.add_argument('data', metavar='DATA', help='folder or file of annotated images')
    result.add_argument(
        '--task', choices=['auto', 'panoptic', 'instance', 'semantic'], default='auto', help='what is learned'
    )
    result.add_argument('--model', choices=list(MODELS), help='backbone (default: lite0, with a GPU r50)')
    result.add_argument(
        '--from',
        dest='start',
        metavar='CHECKPOINT',
        help='begin with the weights of this file, run, folder of transformers or published model',
    )
    length = result.add_mutually_exclusive_group()
    length.add_argument('--time', type=parse_time, metavar='T', help='such as 90s, 30m, 2h (default: 30m)')
    length.add_argument('--epochs', type=float, metavar='N', help='how often each image is seen')
    result.add_argument('--size', type=positive, metavar='P', help='longest side that images are scaled to')
    result.add_argument('--out', metavar='DIR', help='default: runs/<name of DATA>, with a number if that is taken')
    result.add_argument('--device', help="such as 'cpu' or 'cuda'; default: the GPU if there is one")
    result.add_argument('--seed', type=int, default=0, help='of the split and the training (default: 0)')
    result.add_argument(
        '--resume', action='store_true', help='go on with the interrupted training in the folder DATA, by its config'
    )
    add_json_argument(result)
    return result


def main() -> None:
    """Run the command."""
    args = parser().parse_args()
    of_training = ('task', 'model', 'start', 'time', 'epochs', 'size', 'out', 'seed')
    if args.resume and any(getattr(args, name) != parser().get_default(name) for name in of_training):
        parser().error('--resume goes on by the config in the folder, and takes no option but --device and --json')
    from .train import Options, resume, train  # the imports take seconds, --help shall not

    spare_imports()

    options = Options(
        task=args.task,
        model=args.model,
        start=args.start,
        seconds=args.time,
        epochs=args.epochs,
        size=args.size,
        device=args.device,
        seed=args.seed,
    )
    with words_aside(args.json):
        run = resume(args.data, args.device) if args.resume else train(args.data, args.out, options)
    if args.json:
        files = dict(config=run.config, checkpoint=run.checkpoint, report=run.report)
        print(json.dumps(dict({name: str(path) for name, path in files.items()}, metrics=run.evaluation.metrics)))
    else:
        if not next(iter(run.evaluation.metrics.values()), 1):
            print('The test counts nothing as found yet: that takes a longer training (--time, --epochs).')
        shown = ', '.join(f'{name} {value:.1f}' for name, value in list(run.evaluation.metrics.items())[:3])
        print(f'{shown}. Look at {run.report}; use it: mask2former predict IMAGES {run.folder}')
