"""Shows a report in the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from .kinds import printable
from .report import Report, SplitReport
from .statistics import classes_of, counts_of, facts_of, problems_by_kind

EXAMPLES = 3
CLASSES = 15
BAR = 20


def print_report(report: Report, console: Console) -> None:
    """Print the statistics of all splits side by side, and what is wrong in each."""
    facts = [facts_of(split) for split in report.splits]
    table = Table('', *(split.source.name for split in report.splits), title='Statistics', title_justify='left')
    for name in dict.fromkeys(name for part in facts for name in part):
        table.add_row(escape(name), *(escape(printable(part.get(name, ''))) for part in facts))
    console.print(table)
    for split in report.splits:
        _print_classes(split, console)
    for split in report.splits:
        title, kinds = escape(printable(split.source.title)), problems_by_kind(split, EXAMPLES)
        console.print(title if kinds else f'{title}: no problem was found.', style='italic', soft_wrap=True)
        table = Table('kind', 'count', Column('examples', overflow='fold'))  # the end of a path must not be cut off
        for kind, is_error, count, examples in kinds:
            table.add_row(f'[red]{kind}[/red]' if is_error else kind, str(count), escape('\n'.join(examples)))
        if kinds:
            console.print(table)
        for sentence in split.limits:
            console.print(escape(printable(sentence)), style='yellow', soft_wrap=True)
    errors = report.num_errors
    console.print(f'{errors} errors.', style='red' if errors else 'green')


def _print_classes(split: SplitReport, console: Console) -> None:
    rows = classes_of(split)
    if not any(row['segments'] for row in rows):
        return
    counted = counts_of(split)
    table = Table('class', *counted, 'pixels', title=f'Classes of {split.source.name}', title_justify='left')
    most = max((row['share'] or 0) for row in rows) or 1
    for row in rows[:CLASSES]:
        share = '' if row['share'] is None else f'{100 * row["share"]:5.1f} % {"█" * round(BAR * row["share"] / most)}'
        table.add_row(escape(printable(row['name'])), *(str(row[key]) for key in counted), share)
    console.print(table)
    if len(rows) > CLASSES:
        console.print(f'{len(rows) - CLASSES} more classes are in the page that --html writes.')
