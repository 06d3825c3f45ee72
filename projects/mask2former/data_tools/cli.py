"""The flags that the tools of `tools/dataset_converters` share."""

import argparse
import os
from collections.abc import Sequence


def parser(description: str, root: str | None = None, splits: Sequence[str] = ()) -> argparse.ArgumentParser:
    """A parser with ``--jobs`` and, where they are asked for, the data root and ``--splits``.

    Args:
        description (str): The tool's docstring; its line breaks are kept.
        root (str, optional): Adds the positional ``root`` with this default.
        splits (Sequence[str]): Adds ``--splits`` with these choices, all of them by default.
    """
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if root is not None:
        result.add_argument('root', nargs='?', default=root, help='folder of the data set (default: %(default)s)')
    if splits:
        result.add_argument('--splits', nargs='+', choices=splits, default=list(splits), help='default: all')
    result.add_argument('--jobs', type=_positive, default=os.cpu_count(), help='processes (default: %(default)s)')
    return result


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{value} is not over 0')
    return value
