"""The flags that the tools for one's own data share, and the samples that follow from them."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mask2former.errors import DataError

from .layout import Sample
from .splits import assign_splits, output_names


def add_layout_flags(parser: argparse.ArgumentParser) -> None:
    """Add the folder to write and the flags of the split."""
    parser.add_argument('out', type=Path, help='folder to write, such as data/mine')
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        '--val-share',
        type=_share,
        default=0.2,
        help='share of the images that validate, chosen at random (default: %(default)s)',
    )
    group.add_argument('--val-list', metavar='TXT', help='file with the names of the images that validate, one a line')
    group.add_argument(
        '--split',
        choices=['train', 'val'],
        help='put all images here: for data that is split already, run the tool once for each split',
    )
    parser.add_argument('--seed', type=int, default=0, help='other seeds choose other images (default: %(default)s)')
    parser.add_argument(
        '--background', metavar='NAME', help='stuff class of all pixels without annotation, which are void else'
    )
    parser.add_argument(
        '--copy',
        action='store_true',
        help='copy the images; without it they are hard links, which take no space, wherever the file system has them',
    )


def make_samples(
    args: argparse.Namespace,
    paths: Sequence[Path],
    root: Path,
    sources: Sequence[Any],
    files: Sequence[Sequence[Path]],
    image_ids: Sequence[int] | None = None,
) -> list[Sample]:
    """The samples of the images ``paths`` below ``root``, split as the flags say; ids count from 1 if none are given.

    Raises:
        DataError: If the folder to write lies inside the one that is read.
    """
    if root.resolve() in (args.out.resolve(), *args.out.resolve().parents):
        raise DataError(f"The folder to write, '{args.out}', lies in '{root}', which is read; choose another.")
    names = output_names(paths, root)
    splits = assign_splits(names, val_share=args.val_share, seed=args.seed, val_list=args.val_list, split=args.split)
    image_ids = range(1, len(names) + 1) if image_ids is None else image_ids
    return [Sample(*row) for row in zip(image_ids, names, splits, sources, map(tuple, files))]


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f'{value} is not from 0 to below 1')
    return value
