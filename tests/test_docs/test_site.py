"""The pages as a site: it builds without a warning, in the order of index.md; links that lead nowhere stop it."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

for package in ('sphinx', 'myst_parser', 'furo'):
    pytest.importorskip(package)
ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / 'docs'
ADDRESS = 'https://example.org/owner/name'


def build(docs, out, address=ADDRESS):
    env = {name: value for name, value in os.environ.items() if name != 'REPOSITORY_URL'}
    env.update(dict(REPOSITORY_URL=address) if address else {})
    command = [sys.executable, '-m', 'sphinx', '-q', '-W', '--keep-going', '-d', out / 'cache', docs, out / 'site']
    return subprocess.run(command, capture_output=True, text=True, env=env)


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if (tag, name) in (('a', 'href'), ('img', 'src'))]


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp('docs')
    done = build(DOCS, out)
    assert done.returncode == 0, done.stderr
    return out / 'site'


def test_every_page_is_there_in_the_order_of_the_index(site):
    assert {path.stem for path in DOCS.glob('*.md')} <= {path.stem for path in site.glob('*.html')}
    navigation = (site / 'index.html').read_text(encoding='utf-8').partition('sidebar-tree')[2].partition('</aside>')[0]
    captions = re.findall(r'caption-text">([^<]*)<', navigation)
    assert captions[:8] == ['Start', 'Your own data', 'Train', 'Evaluate', 'Predict', 'Deploy', 'Understand', 'Develop']
    pages = [link.removesuffix('.html') for link in Links(navigation).found if link.endswith('.html')]
    listed = re.findall(r'^- \[[^\]]*\]\((\S+)\.md\)', (DOCS / 'index.md').read_text(encoding='utf-8'), re.M)
    assert pages[-len(listed) :] == listed and len(set(listed)) == len(listed)


def test_links_into_the_repository_have_its_address(site):
    count = 0
    for path in site.glob('*.html'):
        for link in Links(path.read_text(encoding='utf-8')).found:
            if link.startswith(ADDRESS):
                count += 1
                kind, branch, inside = link.removeprefix(f'{ADDRESS}/').split('/', 2)
                assert branch == 'main' and (ROOT / inside).exists(), f'{path.name} leads to {link}'
                assert (kind == 'tree') == (ROOT / inside).is_dir()
            elif not re.match(r'[a-z]+:|#', link):
                assert (site / link.partition('#')[0].partition('?')[0]).exists(), f'{path.name} leads to {link}'
    assert count > 100


def small_docs(folder, text):
    docs = folder / 'docs'
    docs.mkdir()
    shutil.copy(DOCS / 'conf.py', docs)
    (docs / 'index.md').write_text('# All\n\n## Start\n\n- [Page](page.md)\n')
    (docs / 'page.md').write_text(text)
    return docs


def test_links_that_lead_nowhere_stop_the_build(tmp_path):
    docs = small_docs(
        tmp_path, '# Page\n\n[a](absent.md) [b](../absent.py) [c](index.md#absent) [d](#lost) [e](index.md)\n'
    )
    (docs / 'forgotten.md').write_text('# Forgotten\n')
    done = build(docs, tmp_path)
    assert done.returncode != 0
    for name in ('absent.md', '../absent.py', "'absent'", 'lost', 'forgotten.md'):
        assert name in done.stderr
    assert done.stderr.count('WARNING') == 5, done.stderr


def test_without_an_address_the_site_has_the_files(tmp_path):
    (tmp_path / 'tool.py').write_text('pass')
    (tmp_path / 'NOTES.md').write_text('# Notes')
    docs = small_docs(
        tmp_path, '# Page\n\n## A\n\n[tool](../tool.py) [notes](../NOTES.md#notes) [folder](../docs) [a](#a)\n'
    )
    done = build(docs, tmp_path, address=None)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / 'site' / 'page.html').read_text()
    copies = [link for link in Links(page).found if 'downloads' in link]
    assert [(tmp_path / 'site' / link).read_text() for link in copies] == ['pass', '# Notes']
    assert 'href="../docs"' not in page and 'folder' in page
    assert build(docs, tmp_path).returncode == 0, 'into the same folder, with an address'
    assert f'"{ADDRESS}/blob/main/NOTES.md"' in (tmp_path / 'site' / 'page.html').read_text()


def test_links_as_the_site_has_them():
    spec = importlib.util.spec_from_file_location('conf', DOCS / 'conf.py')
    conf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conf)
    for target, expected in {
        '../tools/train.py': f'{ADDRESS}/blob/main/tools/train.py',
        '../configs#top': f'{ADDRESS}/tree/main/configs',
        'benchmarks': f'{ADDRESS}/tree/main/docs/benchmarks',
        'one_step.py': f'{ADDRESS}/blob/main/docs/one_step.py',
        'start.md#words': 'start.md#words',
        '#words': '#words',
        '../absent.py': '../absent.py',
        'https://a.org/b': 'https://a.org/b',
    }.items():
        assert conf.repository_link('text', target, f'{ADDRESS}/') == f'[text]({expected})'
