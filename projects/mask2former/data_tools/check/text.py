"""Shows a report in the terminal."""

from collections import Counter

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from .problem import printable
from .report import Report, SplitReport
from .statistics import classes_of, facts_of

EXAMPLES = 3
CLASSES = 15
BAR = 20


def kinds_of(split: SplitReport, examples: int = EXAMPLES) -> list[tuple[str, bool, int, list[str]]]:
    """Return (kind, whether it is an error, count, some texts), errors first."""
    counts = Counter(problem.kind for problem in split.problems)
    errors, texts = {}, {kind: [] for kind in counts}
    for problem in split.problems:
        errors[problem.kind] = problem.is_error
        if len(texts[problem.kind]) < examples:
            image = '' if problem.image is None else f'image {problem.image}: '
            texts[problem.kind].append(printable(image + problem.text))
    rows = [(kind, errors[kind], count, texts[kind]) for kind, count in counts.items()]
    return sorted(rows, key=lambda row: (not row[1], -row[2]))


def counts_of(split: SplitReport) -> list[str]:
    """What is counted of each class; an image has a class of semantic data once, so that two counts would be one."""
    return ['images'] if split.source.form == 'semantic' else ['segments', 'images']


def print_report(report: Report, console: Console) -> None:
    """Print the statistics of all splits side by side, and what is wrong in each."""
    facts = [dict(facts_of(split)) for split in report.splits]
    table = Table('', *(split.source.name for split in report.splits), title='Statistics', title_justify='left')
    for name in dict.fromkeys(name for part in facts for name in part):
        table.add_row(escape(name), *(escape(printable(part.get(name, ''))) for part in facts))
    console.print(table)
    for split in report.splits:
        _print_classes(split, console)
    for split in report.splits:
        title, kinds = escape(printable(split.source.title)), kinds_of(split)
        console.print(title if kinds else f'{title}: no problem was found.', style='italic', soft_wrap=True)
        table = Table('kind', 'count', Column('examples', overflow='fold'))  # the end of a path must not be cut off
        for kind, error, count, texts in kinds:
            table.add_row(f'[red]{kind}[/red]' if error else kind, str(count), escape('\n'.join(texts)))
        if kinds:
            console.print(table)
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
