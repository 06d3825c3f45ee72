"""The table of kinds: complete, used, and the one in the docs."""

import re
from pathlib import Path

import pytest

import mask2former.data_tools.check
from mask2former.data_tools.check import KINDS, Problem

DOCS = Path(__file__).resolve().parents[3] / 'docs'


def test_an_unknown_kind_is_refused():
    assert Problem('missing image', 1, 'text').is_error and not Problem('area 0', 1, 'text').is_error
    with pytest.raises(ValueError, match="no kind 'mising image'"):
        Problem('mising image', 1, 'text')


def test_every_kind_is_used():
    folder = Path(mask2former.data_tools.check.__file__).parent
    code = ''.join(path.read_text() for path in folder.glob('*.py') if path.name != 'kinds.py')
    assert not [kind for kind in KINDS if f"'{kind}'" not in code]


def test_what_keeps_an_image_out_is_an_error():
    assert all(kind.error for kind in KINDS.values() if kind.drops_image)
    assert not [name for name, kind in KINDS.items() if kind.drops_image and kind.by_hand]


def table_of(page):
    text = (DOCS / page).read_text(encoding='utf-8')
    [table] = re.findall(r'<!-- kinds -->\n(.*?)\n<!-- end of kinds -->', text, re.DOTALL)
    return table.splitlines()


def test_the_docs_have_the_table():
    rows = ['| kind | | what it means | `--fix` |', '|---|---|---|---|']
    for name, kind in KINDS.items():
        fix = 'leaves the image out' if kind.drops_image else 'by hand' if kind.by_hand else ''
        rows.append(f'| {name} | {"error" if kind.error else "warning"} | {kind.meaning} | {fix} |')
    assert table_of('data_check.md') == rows


def test_the_chinese_page_says_the_same():
    severity, fixes = (
        {'错误': 'error', '警告': 'warning'},
        {'略去该图像': 'leaves the image out', '须由人处理': 'by hand', '': ''},
    )
    rows = [[cell.strip() for cell in row.split('|')[1:5]] for row in table_of('data_check_zh-CN.md')[2:]]
    english = [[cell.strip() for cell in row.split('|')[1:5]] for row in table_of('data_check.md')[2:]]
    assert [(name, severity[kind], fixes[fix]) for name, kind, _, fix in rows] == [
        (name, kind, fix) for name, kind, _, fix in english
    ]
