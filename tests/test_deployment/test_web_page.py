"""The page that runs an exported model in the browser: opened as a file and from a server, with numpy's results."""

import functools
import io
import json
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from mask2former.deployment.export import export
from mask2former.deployment.onnx_file import read_onnx_file
from mask2former.deployment.web_page import (
    RUNTIME,
    RUNTIME_FILES,
    RUNTIME_VERSION,
    fetch_runtime,
    installed_runtime,
    write_page,
)
from mask2former.errors import DataError, MissingFileError, MissingPackageError, UserError
from tests.browsers import chromium
from tests.tiny import ROOT

pytest.importorskip('onnxruntime', reason='its results are the expected ones')
onnx = pytest.importorskip('onnx', reason='the model is written as ONNX')

from mask2former.deployment import mask2former_onnx  # noqa: E402  (needs onnxruntime)

SIZE = (64, 96)


@pytest.fixture(scope='module')
def file(tiny_predictor, tmp_path_factory):
    path = tmp_path_factory.mktemp('file') / 'model.onnx'
    export(tiny_predictor.inferencer.model, path, 'onnx', SIZE)
    return path


@pytest.fixture(scope='module')
def folder(file, tmp_path_factory):
    package = ROOT / 'node_modules' / RUNTIME
    if not package.is_dir():  # tests fetch nothing
        pytest.skip(f'no onnxruntime-web: npm install --no-save {RUNTIME}@{RUNTIME_VERSION}')
    runtime = installed_runtime(package)
    folder = tmp_path_factory.mktemp('web') / 'page'
    write_page(file, folder, runtime, 'A <b>title</b>')
    return folder


@pytest.fixture(scope='module')
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(params=['file', 'server'])
def page(request, browser, folder):
    """It may ask for nothing but its own files."""
    context = browser.new_context(viewport=dict(width=390, height=844))
    page = context.new_page()
    page.set_default_timeout(180_000)
    faults, asked = [], []
    page.on('pageerror', lambda error: faults.append(str(error)))
    page.on('console', lambda message: faults.append(message.text) if message.type == 'error' else None)
    page.on('request', lambda request: asked.append(request.url))
    server = ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = folder.as_uri() if request.param == 'file' else f'http://127.0.0.1:{server.server_port}'
    page.goto(f'{address}/index.html')
    page.wait_for_selector('#file:not([disabled])')
    yield page
    context.close()
    server.shutdown()
    server.server_close()
    own = {f'{address}/{name}' for name in ('index.html', 'model.js', 'runtime.js', 'favicon.ico')}
    assert {url for url in asked if not url.startswith(('data:', 'blob:'))} <= own
    assert [fault for fault in faults if '404' not in fault] == []  # the icon that browsers ask servers for


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def png(image):
    content = io.BytesIO()
    Image.fromarray(image).save(content, 'PNG')
    return content.getvalue()


def choose(page, name, content):
    page.set_input_files('#file', dict(name=name, mimeType='image/png', buffer=content))
    page.locator('#status').filter(has_not_text='…').wait_for()


def saved(page, button):
    with page.expect_download() as download:
        page.click(button)
    return download.value.suggested_filename, np.asarray(Image.open(download.value.path()).convert('RGB')).astype(int)


def images(tiny_run):
    """Of the model's size, larger and narrower, and smaller."""
    photo = Image.open(tiny_run.images / '000000.jpg').convert('RGB')
    return [np.asarray(photo.resize(size)) for size in ((96, 64), (180, 201), (50, 20))]


def test_ids_are_those_of_numpy(page, file, tiny_run):
    """Masks of a model that has learnt nothing are noise, so that borders are everywhere."""
    model = mask2former_onnx.Model(file)
    found = 0
    for image in images(tiny_run):
        choose(page, 'a.b.png', png(image))
        expected = model(image)
        name, rgb = saved(page, '#save-ids')
        assert name == 'a.b_ids.png' and rgb.shape == image.shape
        assert (rgb @ [1, 256, 65536] == expected.panoptic).mean() >= 0.999
        rows = page.locator('tbody tr')
        cells = [rows.nth(row).locator('td').all_inner_texts() for row in range(rows.count())]
        assert [cell[1] for cell in cells] == [segment['name'] for segment in expected.segments]
        for cell, segment in zip(cells, expected.segments):
            assert float(cell[2].strip(' %')) == pytest.approx(100 * segment['score'], abs=0.51)
            assert float(cell[3].strip(' %')) == pytest.approx(100 * segment['area'] / rgb[..., 0].size, abs=0.16)
        found += len(cells)
    assert found > 0


def test_the_picture_shows_what_is_pointed_at(page, tiny_run):
    image = images(tiny_run)[0]
    choose(page, 'a.png', png(image))
    _, rgb = saved(page, '#save-ids')
    name, picture = saved(page, '#save-picture')
    assert name == 'a_panoptic.png' and np.abs(picture - image).max() > 20
    page.locator('#opacity').fill('0')
    assert (saved(page, '#save-picture')[1] == image).all()
    y, x = np.argwhere(rgb[..., 0] > 0)[0]
    box = page.locator('#picture').bounding_box()
    page.mouse.move(box['x'] + (x + 0.5) * box['width'] / 96, box['y'] + (y + 0.5) * box['height'] / 64)
    assert page.locator('tr.hot').get_attribute('data-id') == str(rgb[y, x, 0])
    assert page.locator('#picture').get_attribute('title') == page.locator('tr.hot td').nth(1).inner_text()
    assert page.inner_text('h1') == 'A <b>title</b>'
    assert page.evaluate('document.documentElement.scrollWidth <= innerWidth')


def test_what_is_no_image_is_said(page, tiny_run):
    choose(page, 'a.png', b'no image')
    assert page.inner_text('#status') == ('The image was not segmented: this is no image that the browser can read.')
    assert not page.is_visible('#result')
    choose(page, 'a.png', png(images(tiny_run)[0]))
    assert page.is_visible('#result')


def test_large_images_are_reduced(page):
    choose(page, 'a.png', png(np.zeros((20, 3200, 3), np.uint8)))
    assert saved(page, '#save-ids')[1].shape == (10, 1600, 3)


def test_what_a_file_says(file):
    said = read_onnx_file(file)
    assert [(value.name, value.type, value.shape) for value in said.inputs] == [('image', 'FLOAT', (-1, 3, 64, 96))]
    assert [(value.name, value.shape) for value in said.outputs] == [
        ('class_logits', (-1, 10, 1 + len(said.meta['classes']))),
        ('mask_logits', (-1, 10, 16, 24)),
    ]


def test_files_that_are_none(file, tmp_path):
    with pytest.raises(MissingFileError, match=r"no file '.*x.onnx': write one with `mask2former export`"):
        read_onnx_file(tmp_path / 'x.onnx')
    (tmp_path / 'x.onnx').write_bytes(b'\xffnone')
    with pytest.raises(DataError, match='is no ONNX file'):
        read_onnx_file(tmp_path / 'x.onnx')
    model = onnx.load(str(file))
    [entry] = model.metadata_props
    said = json.loads(entry.value)
    entry.value = json.dumps(dict(said, size=None))
    onnx.save(model, tmp_path / 'any.onnx')
    with pytest.raises(DataError, match='any size, and the page is for one: export it with --size 320x320'):
        write_page(tmp_path / 'any.onnx', tmp_path / 'page', {}, '')
    entry.value = json.dumps(dict(said, panoptic=None))
    onnx.save(model, tmp_path / 'instance.onnx')
    with pytest.raises(DataError, match='gives no panoptic results'):
        write_page(tmp_path / 'instance.onnx', tmp_path / 'page', {}, '')
    model.graph.output[0].name = 'panoptic'
    onnx.save(model, tmp_path / 'results.onnx')
    with pytest.raises(DataError, match='does not give logits'):
        write_page(tmp_path / 'results.onnx', tmp_path / 'page', {}, '')
    del model.metadata_props[:]
    onnx.save(model, tmp_path / 'others.onnx')
    with pytest.raises(DataError, match='does not say what it is'):
        read_onnx_file(tmp_path / 'others.onnx')
    assert not (tmp_path / 'page').exists()


def test_where_the_runtime_comes_from(tmp_path, monkeypatch):
    with pytest.raises(MissingFileError, match='has no dist/.*give the folder of the npm package onnxruntime-web'):
        installed_runtime(tmp_path)
    for name in RUNTIME_FILES.values():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    assert installed_runtime(tmp_path) == {key: name.encode() for key, name in RUNTIME_FILES.items()}
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(MissingPackageError, match='npm, which fetches onnxruntime-web, is not installed'):
        fetch_runtime()
    (tmp_path / 'npm').write_text('#!/bin/sh\necho no network >&2\nexit 1\n')
    (tmp_path / 'npm').chmod(0o755)
    with pytest.raises(UserError, match=r'npm did not fetch onnxruntime-web .* \(no network\): try again'):
        fetch_runtime()
    with tarfile.open(tmp_path / 'package.tgz', 'w:gz') as archive:
        for name in RUNTIME_FILES.values():
            archive.add(tmp_path / name, f'package/{name}')
    (tmp_path / 'npm').write_text(f'#!/bin/sh\n/bin/cp {tmp_path}/package.tgz "$5"\n')
    assert fetch_runtime() == installed_runtime(tmp_path)
