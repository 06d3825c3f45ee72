"""docs/masked_attention.md, in both languages, has the figures of docs/studies."""

import json
import re

import pytest

from mask2former.analysis.curves import make_report, read_results
from tests.tiny import ROOT

STUDIES = ROOT / 'docs' / 'studies'
pages = pytest.mark.parametrize('page', ['masked_attention.md', 'masked_attention_zh-CN.md'])


@pages
def test_tables_are_those_of_the_results(page):
    text = (ROOT / 'docs' / page).read_text(encoding='utf-8')
    shown = re.findall(r'<!-- (\w+), \w+ -->\n(.*?)<!-- end -->', text, re.S)
    results = {name: read_results(STUDIES / f'{name}.json') for name in dict(shown)}
    tables = [
        (name, table) for name in results for table in re.findall(r'(?:^\|.*\n)+', make_report(results[name]), re.M)
    ]
    assert shown == tables and tables


@pages
def test_shares_of_attention_are_those_measured(page):
    text = (ROOT / 'docs' / page).read_text(encoding='utf-8')
    variants = json.loads((STUDIES / 'shapes_attention.json').read_text(encoding='utf-8'))['variants']
    for layers in zip(variants['full'], variants['no masked attention']):
        cells = [
            f'{layer[kind]["inside"]:.2f} ({layer[kind]["even"]:.2f})'
            for layer in layers
            for kind in ('all', 'things', 'stuff')
        ]
        assert f' | {" | ".join(cells)} |' in text
    for layers in variants.values():
        mean = sum(layer['all']['inside'] for layer in layers) / len(layers)
        assert f' .{round(mean * 100):02d}' in text
