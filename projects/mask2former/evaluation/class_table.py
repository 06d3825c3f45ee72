"""The per-class table that a metric prints."""

from collections.abc import Sequence

import numpy as np
from mmengine.logging import print_log
from terminaltables import AsciiTable


def log_class_table(title: str, classes: Sequence[str], columns: dict[str, np.ndarray], shown: np.ndarray) -> None:
    """Print a table of one line a class to mmengine's current logger.

    Args:
        title: What the table is of.
        classes: K names.
        columns: Heading to K values in percent (floats, two digits) or counts (integers).
        shown: ``(K,)`` bool, the classes that get a line.
    """
    rows = [['class', *columns]]
    for label in np.flatnonzero(shown).tolist():
        values = [column[label] for column in columns.values()]
        rows.append(
            [classes[label], *(str(value) if isinstance(value, np.integer) else f'{value:.2f}' for value in values)]
        )
    left_out = len(classes) - int(np.sum(shown))
    note = f' ({left_out} classes without a value are left out)' if left_out else ''
    print_log(f'{title}{note}\n{AsciiTable(rows).table}', logger='current')
