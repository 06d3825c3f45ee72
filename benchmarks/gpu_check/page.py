"""The page: docs/gpu.md with the tables of a report between its markers."""

from collections import Counter
from pathlib import Path

from mask2former.formats.files import write_text

from .settings import ROOT

LEFT_OUT = ('skipped', 'absent')
BEGIN, END = '<!-- gpu_check -->', '<!-- /gpu_check -->'
PASSED, FAILED, NO_VERDICT = 0, 1, 3  # exit statuses; 2 is that of a wrong argument
CASE = ('model', 'mode', 'size', 'batch_size', 'variant')


def failed(row: dict) -> bool:
    """Whether a row has an error or a check that failed."""
    return 'error' in row or not row.get('ok', True)


def judge(report: dict) -> tuple[int, str]:
    """The exit status of a report, and its verdict in words."""
    found = [(name, row) for name, section in report['sections'].items() for row in section['rows']]
    failures = sum(failed(row) for _, row in found)
    skipped = [(name, row['skipped'].partition(':')[0]) for name, row in found if 'skipped' in row]
    reasons = ', '.join(f'{count} {reason}' for reason, count in Counter(reason for _, reason in skipped).items())
    left_out = f'{len(skipped)} of {len(found)} rows skipped ({reasons})'
    if failures:
        return FAILED, f'{failures} of {len(found)} rows FAILED' + (f', {left_out}' if skipped else '')
    if skipped:
        return NO_VERDICT, f'{left_out}: no verdict on {", ".join(dict.fromkeys(name for name, _ in skipped))}'
    checked = any('ok' in row for _, row in found)
    return PASSED, 'All checks passed' if checked else 'Measured without an error, but there was nothing to check'


def fill_page(report: dict, folder: Path) -> Path:
    """Write a report into the page of a folder, which is made of docs/gpu.md where it is absent."""
    path = folder / 'gpu.md'
    source = path if path.exists() else ROOT / 'docs' / 'gpu.md'
    before, _, rest = source.read_text().partition(BEGIN)
    write_text(path, f'{before}{BEGIN}\n{render(report)}\n{END}{rest.partition(END)[2]}')
    return path


def render(report: dict) -> str:
    """The report in Markdown."""
    blocks = [f'`{report["command"]}`, {report["date"]}.']
    if report['small']:
        blocks.append('**At sizes for a test (`--small`): the figures mean nothing.**')
    found = [(name, row) for name, section in report['sections'].items() for row in section['rows']]
    failures = [f'- {name}: {describe(row)}' for name, row in found if failed(row)]
    blocks.append(f'**{judge(report)[1]}.**')
    blocks += ['\n'.join(failures)] if failures else []
    for name, section in report['sections'].items():
        blocks += [f'### {section["title"]}', f'Section `{name}`, {section["seconds"]:.0f} s. {section["text"]}']
        tables: dict[tuple[str, ...], list[dict]] = {}
        measured = [row for row in section['rows'] if not {'error', *LEFT_OUT} & row.keys()]
        for row in TABULATE.get(name, list)(measured):
            tables.setdefault(tuple(row), []).append(row)
        blocks += [table(rows) for rows in tables.values()]
        for kind in LEFT_OUT:
            groups: dict[tuple[object, str], list[dict]] = {}
            for row in section['rows']:
                if kind in row:
                    groups.setdefault((next(iter(row.values())), row[kind]), []).append(row)
            if groups:
                blocks.append(
                    f'{kind.capitalize()}:\n\n' + '\n'.join(count_left_out(kind, rows) for rows in groups.values())
                )
    return '\n\n'.join(blocks)


def table(rows: list[dict]) -> str:
    """A Markdown table of rows with the same keys."""
    lines = [list(rows[0]), ['---'] * len(rows[0]), *([cell(value) for value in row.values()] for row in rows)]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def cell(value: object) -> str:
    """A value in a table."""
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, float):
        return f'{value:.0f}' if abs(value) >= 1000 else f'{value:.3g}'
    if isinstance(value, list):
        return ', '.join(map(cell, value))
    return '-' if value is None else str(value).replace('|', '\\|')


def describe(row: dict) -> str:
    """A row in a line; of a traceback its last line, the rest is in the JSON file."""
    lines = {key: str(value).strip().splitlines()[-1] if key == 'error' else value for key, value in row.items()}
    return ', '.join(f'{key} {cell(value)}' for key, value in lines.items() if value is not None)


def count_left_out(kind: str, rows: list[dict]) -> str:
    """The cases of one contestant or backend that were left out for one reason, in a line."""
    if len(rows) == 1:
        return f'- {describe(rows[0])}'
    key, value = next(iter(rows[0].items()))
    return f'- {key} {cell(value)}: {len(rows)} cases, {rows[0][kind]}'


def _attention(rows: list[dict]) -> list[dict]:
    """By size and type, without the largest values."""
    rows = [{key: value for key, value in row.items() if not key.endswith('_max')} for row in rows]
    return sorted(rows, key=lambda row: [row[key] for key in ('size', 'batch_size', 'dtype')])


def _steps(rows: list[dict]) -> list[dict]:
    """A row for each case, a column for each contestant; then how the logits agree."""
    cases: dict[tuple, dict[str, dict]] = {}
    for row in rows:
        if 'variant' in row:
            cases.setdefault(tuple(row[key] for key in CASE), {})[row['contestant']] = row
    result: list[dict] = []
    for case, measured in cases.items():
        ours, *peers = (measured.get(name) for name in ('mask2former', 'mmdet', 'transformers'))
        medians = [peer['median'] for peer in peers if peer]
        cells = [x and '{median:.4f} ({min:.4f} - {max:.4f}), {peak_mb:.0f}'.format(**x) for x in (ours, *peers)]
        result.append(
            dict(zip(CASE, case))
            | dict(zip(('ours', 'mmdet', 'transformers'), cells))
            | {'ours / faster peer': ours['median'] / min(medians) if ours and medians else None}
            | {'first': ours and ours['first']}
        )
    return result + [row for row in rows if 'variant' not in row]


def _tune(rows: list[dict]) -> list[dict]:
    """The fastest first."""
    return sorted(rows, key=lambda row: (row['kernel'], row['dtype'], row['ms']))


TABULATE = dict(attention=_attention, steps=_steps, tune=_tune)
