"""The tables in which metrics are shown: a summary of all, one line a class, and two results side by side."""

import re
from collections.abc import Mapping, Sequence
from io import StringIO

import numpy as np
from mmengine.logging import print_log
from rich.box import MARKDOWN
from rich.console import Console
from rich.markup import escape
from rich.table import Table

# Keys that belong into one table: its heading, and pattern of (prefix, row, column).
_GROUPS = (
    ('panoptic quality', re.compile(r'(?P<prefix>.*/)?(?P<column>PQ|SQ|RQ)(?P<row>_th|_st)?')),
    ('average precision', re.compile(r'(?P<prefix>.*/)?(?P<row>segm|bbox|boundary|track)_mAP(?P<column>_\w+)?')),
    ('semantic', re.compile(r'(?P<prefix>.*/)?(?P<column>mIoU|fwIoU|mAcc|aAcc|mBIoU)(?P<row>)')),
)
_ROWS = {
    None: 'all',
    '': '',
    '_th': 'things',
    '_st': 'stuff',
    'segm': 'masks',
    'bbox': 'boxes',
    'boundary': 'boundaries',
    'track': 'tracks',
}
_COLUMNS = {None: 'AP', '_50': 'AP50', '_75': 'AP75'}


def class_metrics(key: str, classes: Sequence[str], values: np.ndarray, shown: np.ndarray) -> dict[str, float]:
    """The values of the classes as metrics of their own: ``{key}/{class}``.

    Args:
        key: The metric that is the mean of them.
        classes: K names.
        values: ``(K,)`` in percent.
        shown: ``(K,)`` bool, the classes that have a value.
    """
    return {f'{key}/{classes[label]}': float(values[label]) for label in np.flatnonzero(shown).tolist()}


def without_classes(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics without those of :func:`class_metrics`."""

    def is_of_class(key: str) -> bool:
        return any(key[: match.start()] in metrics for match in re.finditer('/', key))

    return {key: value for key, value in metrics.items() if not is_of_class(key)}


def log_class_table(title: str, classes: Sequence[str], columns: dict[str, np.ndarray], shown: np.ndarray) -> None:
    """Print a table of one line a class to mmengine's current logger.

    Args:
        title: What the table is of.
        classes: K names.
        columns: Heading to K values in percent (floats, two digits, NaN where there is none) or counts (integers).
        shown: ``(K,)`` bool, the classes that get a line.
    """
    table = _table('class', columns)
    for label in np.flatnonzero(shown).tolist():
        values = [column[label] for column in columns.values()]
        cells = [str(value) if isinstance(value, np.integer) else _cell(value) for value in values]
        table.add_row(escape(classes[label]), *cells)
    left_out = len(classes) - int(np.sum(shown))
    note = f' ({left_out} classes without a value are left out)' if left_out else ''
    print_log(f'{title}{note}\n{_render(table)}', logger='current')


def summary_table(metrics: Mapping[str, float]) -> str:
    """The metrics in a few small tables of text, in percent as they are; those of single classes are left out."""
    groups: dict[str, dict[str, dict[str, float]]] = {}
    for key, value in without_classes(metrics).items():
        for heading, pattern in _GROUPS:
            match = pattern.fullmatch(key)
            if match:
                heading = (match['prefix'] or '') + heading
                row, column = _ROWS[match['row']], _COLUMNS.get(match['column'], str(match['column']))
                groups.setdefault(heading, {}).setdefault(row, {})[column.replace('_', 'AP')] = value
                break
        else:
            prefix, _, name = key.rpartition('/')
            groups.setdefault(prefix, {}).setdefault('', {})[name] = value
    tables = []
    for heading, rows in groups.items():
        columns = list(dict.fromkeys(name for row in rows.values() for name in row))
        table = _table(heading, columns)
        for name, values in rows.items():
            table.add_row(name, *(_cell(values.get(column, np.nan)) for column in columns))
        tables.append(_render(table))
    return '\n\n'.join(tables)


def comparison_table(results: Mapping[str, Mapping[str, float]]) -> str:
    """Two results side by side, one line a metric, and their difference.

    Args:
        results: Heading to metrics, of two results. Metrics that one of them lacks are left out.
    """
    (first, second), headings = (without_classes(metrics) for metrics in results.values()), list(results)
    table = _table('', [*headings, 'difference'])
    for key in first:
        if key in second:
            before, after = _known(first[key]), _known(second[key])
            change = '' if np.isnan(after - before) else f'{after - before:+.2f}'
            table.add_row(escape(key), _cell(before), _cell(after), change)
    return _render(table)


def _known(value: float) -> float:
    """-1 is COCO's way to say that there is nothing to measure."""
    return float('nan') if value == -1 else float(value)


def _cell(value: float) -> str:
    value = _known(value)
    return '-' if np.isnan(value) else f'{value:.2f}'


def _table(heading: str, columns: Sequence[str] | Mapping) -> Table:
    table = Table(box=MARKDOWN)
    table.add_column(escape(heading), no_wrap=True)
    for column in columns:
        table.add_column(escape(column), justify='right', no_wrap=True)
    return table


def _render(table: Table) -> str:
    """As plain text, which is Markdown as well, for log files and terminals alike; as wide as it is."""
    console = Console(file=StringIO(), width=10_000, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(table)
    return '\n'.join(line.rstrip() for line in capture.get().splitlines() if line.strip())
