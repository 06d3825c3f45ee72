"""The arguments that the tools of `tools/dataset_converters` share."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path


def make_parser(description: str, root: str | None = None, splits: Sequence[str] = ()) -> argparse.ArgumentParser:
    """A parser with ``--jobs`` and, where they are asked for, the data root and ``--splits``.

    Args:
        description: The tool's docstring; its line breaks are kept.
        root: Adds the positional ``root`` with this default.
        splits: Adds ``--splits`` with these choices, all of them by default.
    """
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if root is not None:
        result.add_argument('root', nargs='?', default=root, help='folder of the data set (default: %(default)s)')
    if splits:
        result.add_argument('--splits', nargs='+', choices=splits, default=list(splits), help='default: all')
    result.add_argument('--jobs', type=positive, default=os.cpu_count(), help='processes (default: %(default)s)')
    return result


def add_layout_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder to write, the flags of the split and the class of the background."""
    add_split_arguments(parser, 'images')
    parser.add_argument(
        '--background', metavar='NAME', help='stuff class of all pixels without annotation, which are void else'
    )


def add_split_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the folder to write and the flags of the split of ``what``, 'images' or 'videos'."""
    parser.add_argument('out', type=Path, help='folder to write, such as data/mine')
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        '--val-share',
        type=_share,
        default=0.2,
        help=f'share of the {what} that validate, chosen at random (default: %(default)s)',
    )
    group.add_argument('--val-list', metavar='TXT', help=f'file with the names of the {what} that validate, one a line')
    group.add_argument(
        '--split',
        choices=['train', 'val'],
        help=f'put all {what} here: for data that is split already, run the tool once for each split',
    )
    parser.add_argument('--seed', type=int, default=0, help=f'other seeds choose other {what} (default: %(default)s)')
    parser.add_argument(
        '--copy',
        action='store_true',
        help='copy the images; without it they are hard links, which take no space, wherever the file system has them',
    )


def add_drawing_arguments(parser: argparse.ArgumentParser, size: Sequence[int], what: str, size_help: str) -> None:
    """Add the folder to write and what drawing ``what``, 'images' or 'videos', needs; ``size`` is the default one."""
    parser.add_argument('out_dir', help='the folder to write')
    parser.add_argument('--size', type=int, nargs='+', default=list(size), metavar='PIXELS', help=size_help)
    parser.add_argument('--seed', type=int, default=0, help=f'other seeds give other {what}')
    parser.add_argument('--num-workers', type=int, default=2, help=f'how many {what} are drawn at the same time')


def parse_drawing(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse, and make ``size`` a height and a width."""
    args = parser.parse_args()
    if len(args.size) > 2:
        parser.error(f'--size takes one or two numbers, but got {len(args.size)}.')
    args.size = (args.size[0], args.size[-1])
    return args


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{value} is not over 0')
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f'{value} is not from 0 to below 1')
    return value
