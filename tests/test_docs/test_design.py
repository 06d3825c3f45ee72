"""docs/design.md shows the tree of the package as it is."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / 'projects' / 'mask2former'


def test_the_layout_names_every_package_and_no_other():
    layout = (ROOT / 'docs' / 'design.md').read_text().partition('## Layout')[2]
    block = layout.split('```')[1]
    shown, parents = set(), []
    for line in block.splitlines()[2:]:
        match = re.match(r'( +)([a-z_0-9]+)/', line)
        if match is None:
            continue
        depth = len(match[1]) // 2
        parents = [*parents[: depth - 1], match[2]]
        shown.add('/'.join(parents))
    there = {
        path.parent.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob('__init__.py')
        if path.parent != PACKAGE and '.mim' not in path.parts
    }
    assert shown == there


def test_every_path_that_the_docs_link_to_exists():
    for page in [*(ROOT / 'docs').glob('*.md'), *ROOT.glob('*.md')]:
        for target in re.findall(r'\]\(([^)#\s]+)', page.read_text()):
            if '://' not in target:
                assert (page.parent / target).exists(), f'{page.name} links to {target}'
