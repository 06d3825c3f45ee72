"""docs/correctness.md: every row has well-formed links and names tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs' / 'correctness.md'
HEADS = {
    'Differences': ['what', 'they', 'here', 'why', 'test'],
    'Errors': ['error', 'where', 'what came of it', 'test'],
}
LINK = re.compile(r'\[([^\]]*)\]\(([^)]*)\)')
TEST = re.compile(r'`(tests/[\w/]+\.py)::(test_\w+)`')


def rows_of(text):
    """The tables below the headings that ``HEADS`` names: heading and cells of each row."""
    for section in text.split('\n## ')[1:]:
        title = section.split()[0]
        if title not in HEADS:
            continue
        for part in section.split('\n### ')[1:]:
            table = [line for line in part.splitlines() if line.startswith('|')]
            head, rule, *rows = ([cell.strip() for cell in line.strip('|').split(' | ')] for line in table)
            assert head == HEADS[title] and set(''.join(rule)) <= set('-|'), f'head of the table {title}: {head}'
            assert rows, f'{part.splitlines()[0]} is empty'
            yield from ((title, row) for row in rows)


@cache
def functions_of(path):
    """Names of the test functions of a file, read without importing it."""
    return {
        node.name
        for node in ast.parse(Path(path).read_text(encoding='utf-8')).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith('test_')
    }


def fault_of(title, cells):
    """What is wrong with a row, or None."""
    if len(cells) != len(HEADS[title]) or not all(cells):
        return f'{len(cells)} cells or an empty one, not {len(HEADS[title])}'
    tests = TEST.findall(cells[-1])
    if not tests or TEST.sub('', cells[-1]).strip(' ,'):
        return f'its last cell is no list of tests: {cells[-1]}'
    for path, name in tests:
        if not (ROOT / path).is_file() or name not in functions_of(ROOT / path):
            return f'there is no {path}::{name}'
    links = LINK.findall(' '.join(cells))
    if title == 'Errors' and not LINK.search(cells[1]):
        return 'no link says who shipped the error'
    if ' '.join(cells).count('](') != len(links):
        return 'a link is not closed'
    for name, target in links:
        parts = urlsplit(target)
        external = parts.scheme == 'https' and parts.netloc and not re.search(r'[\s<>"]', target)
        if not name or not (external or (not parts.scheme and target and (PAGE.parent / target).exists())):
            return f'the link [{name}]({target}) leads nowhere'
        issue = re.search(r'#(\d+)$', name)
        if issue and not target.endswith(f'/{issue[1]}'):
            return f'the link {name} leads to {target}'
    return None


def test_every_row_names_tests_that_exist_and_has_whole_links():
    rows = list(rows_of(PAGE.read_text(encoding='utf-8')))
    assert {title for title, _ in rows} == set(HEADS) and len(rows) >= 40
    faults = [f'{title}, "{cells[0]}": {fault}' for title, cells in rows if (fault := fault_of(title, cells))]
    assert not faults, '\n'.join(faults)
    first_cells = [cells[0] for _, cells in rows]
    assert len(set(first_cells)) == len(first_cells), 'a row stands there twice'


TESTS = '`tests/test_docs/test_design.py::test_the_layout_names_every_package_and_no_other`'


@pytest.mark.parametrize(
    'cells, fault',
    [
        (['x', '[a #1](https://a.org/issues/1)', 'y', TESTS], None),
        (['x', '[a](https://a.org), [b](design.md)', 'y', f'{TESTS}, {TESTS}'], None),
        (['x', '[a](https://a.org)', 'y', ''], 'empty'),
        (['x', '[a](https://a.org)', 'y'], 'cells'),
        (['x', '[a](https://a.org)', 'y', 'the tests of design.md'], 'no list of tests'),
        (['x', '[a](https://a.org)', 'y', TESTS.replace('no_other', 'none')], 'there is no'),
        (['x', '[a](https://a.org)', 'y', TESTS.replace('test_design', 'test_sign')], 'there is no'),
        (['x', 'somebody', 'y', TESTS], 'no link'),
        (['x', '[a](https://a.org', 'y', TESTS], 'no link|not closed'),
        (['x', '[a](https://a.org) [b](http:/b.org)', 'y', TESTS], 'leads nowhere'),
        (['x', '[a](absent.md)', 'y', TESTS], 'leads nowhere'),
        (['x', '[a](https://a.org/a b)', 'y', TESTS], 'leads nowhere'),
        (['x', '[a #1](https://a.org/issues/2)', 'y', TESTS], 'leads to'),
    ],
)
def test_faults_of_a_row_are_found(cells, fault):
    found = fault_of('Errors', cells)
    assert found is None if fault is None else re.search(fault, found or 'nothing found')
