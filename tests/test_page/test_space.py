"""demo/space: what Hugging Face reads of it, and its page."""

import re
import runpy

import httpx
import pytest
import yaml

from tests.tiny import ROOT

SPACE = ROOT / 'demo' / 'space'


def lines(path):
    return {line for line in path.read_text().splitlines() if line and not line.startswith(('#', '--'))}


def test_front_matter_and_requirements():
    _, front, _ = (SPACE / 'README.md').read_text(encoding='utf-8').split('---\n', 2)
    says = yaml.safe_load(front)
    assert says['sdk'] == 'gradio' and (SPACE / says['app_file']).is_file() and len(says['short_description']) <= 60
    [pinned] = re.findall(r'^gradio==(.*)$', (ROOT / 'requirements' / 'lock-tests.txt').read_text(), re.M)
    assert says['sdk_version'] == pinned
    of_package = lines(ROOT / 'requirements' / 'runtime.txt') | lines(ROOT / 'requirements' / 'demo.txt')
    assert of_package <= lines(SPACE / 'requirements.txt')


def test_its_page(tiny_run, monkeypatch):
    from mask2former.page import app

    served, serve = {}, app.serve
    monkeypatch.setenv('MODEL', str(tiny_run.config))
    monkeypatch.setenv('CHECKPOINT', str(tiny_run.checkpoint))
    monkeypatch.setenv('PORT', '7999')
    monkeypatch.setenv('FORWARDED_ALLOW_IPS', '127.0.0.1')
    monkeypatch.setattr(app, 'serve', lambda page, **options: served.update(options, page=page))
    runpy.run_path(str(SPACE / 'app.py'), run_name='__main__')
    assert (served['host'], served['port']) == ('0.0.0.0', 7999)
    assert httpx.get(serve(served['page'], wait=False)).status_code == 200
    served['page'].close()


def test_its_examples_are_files_of_the_space_alone():
    source = (SPACE / 'app.py').read_text()
    assert 'data_images' not in source and "'examples'" in source


def test_the_licence_of_the_default_weights_is_said():
    from mask2former.checkpoints.zoo import license_of

    [name] = re.findall(r"'MODEL', '(.*?)'", (SPACE / 'app.py').read_text())
    text = (SPACE / 'README.md').read_text(encoding='utf-8')
    assert name in text and license_of(name, {}) in text


@pytest.mark.parametrize('name', ['app', 'space'])
def test_it_is_no_command(name):
    from mask2former.__main__ import find_tools

    assert name not in find_tools() and 'image_demo' in find_tools()
