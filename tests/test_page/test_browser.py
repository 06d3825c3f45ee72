"""The page in a real browser, without a window: upload, point at, switch, save, on a wide screen and on a telephone."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from tests.browsers import chromium
from tests.test_formats.videos import make_video

CAMERA = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream']


@pytest.fixture(scope='module')
def browser():
    with chromium(*CAMERA) as browser:
        yield browser


@pytest.fixture(params=[(1280, 'light'), (390, 'dark')], ids=['wide', 'phone'])
def page(request, browser, address):
    width, scheme = request.param
    context = browser.new_context(viewport=dict(width=width, height=844), color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(30_000)
    faults, asked = [], []
    page.on('pageerror', lambda error: faults.append(str(error)))
    page.on('dialog', lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    page.on('request', lambda request: asked.append(request.url))
    page.goto(address)
    yield page
    elsewhere = [url for url in asked if not url.startswith((address, address.replace('http', 'ws'), 'data:', 'blob:'))]
    context.close()
    assert faults == [] and elsewhere == []


def upload(page, path):
    page.set_input_files('#m2f-photo input[type=file]', path)
    page.wait_for_selector('#m2f-view .m2f-segment', state='attached')


def save(page, name):
    with page.expect_download() as download:
        page.get_by_role('button', name=name, exact=True).click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def place_on(page, identity):
    """A point of the screen where a segment lies on top; None where it is hidden."""
    return page.evaluate(
        """(id) => {
          const stage = document.querySelector('.m2f-stage');
          stage.scrollIntoView({ block: 'center', behavior: 'instant' });
          const box = stage.getBoundingClientRect();
          for (let y = 1; y < box.height; y += 3) for (let x = 1; x < box.width; x += 3) {
            const at = document.elementFromPoint(box.x + x, box.y + y);
            if (at && at.dataset && at.dataset.id === id) return [box.x + x, box.y + y];
          }
          return null;
        }""",
        identity,
    )


def slide(page, label, value):
    """Set a slider by its field of numbers, and let go of it."""
    field = page.get_by_label(f'number input for {label}')
    field.fill(value)
    field.press('Enter')
    page.get_by_label(f'range slider for {label}').dispatch_event('pointerup')


def test_upload_point_switch_and_save(page, tiny_run):
    upload(page, tiny_run.images / '000000.jpg')
    page.get_by_text('Thresholds').click()
    before = page.locator('.m2f-segment').count()
    rows = page.locator('#m2f-view tbody tr')
    assert rows.count() == before > 0
    # Pointing at a segment names it, and marks its row.
    identity = next(
        i for i in page.locator('.m2f-segment').evaluate_all('a => a.map((p) => p.dataset.id)') if place_on(page, i)
    )
    page.mouse.move(*place_on(page, identity))
    page.wait_for_selector('.m2f-tip:not([hidden])')
    row = page.locator(f'tr[data-row="{identity}"]')
    name, score, share = (row.locator('td').nth(column).inner_text() for column in (1, 3, 4))
    assert page.locator('.m2f-tip').inner_text() == f'{name} {score} · {share}'
    assert 'hot' in row.get_attribute('class')
    page.mouse.move(1, 1)
    page.wait_for_selector('.m2f-tip', state='hidden')
    # Switched off, it is neither seen nor saved.
    row.locator('input').uncheck()
    assert place_on(page, identity) is None
    file, content = save(page, 'COCO (JSON)')
    assert file == '000000_coco.json'
    assert {a['id'] for a in json.loads(content)['annotations']} == {
        int(i) for i in rows.evaluate_all('a => a.map((r) => r.dataset.row)')
    } - {int(identity)}
    page.locator('.m2f-all').check()
    page.locator('.m2f-all').uncheck()
    assert page.locator('.m2f-segment:not(.off)').count() == 0
    assert json.loads(save(page, 'COCO (JSON)')[1])['annotations'] == []
    legend = page.locator('.m2f-legend button').first
    legend.click()  # a class is switched on again
    shown = page.locator('tbody tr:not(.off)')
    assert {shown.nth(i).get_attribute('data-class') for i in range(shown.count())} == {
        legend.get_attribute('data-class')
    }
    for name, suffix in (('Label Studio', '.zip'), ('CVAT (XML)', '.xml'), ('LabelMe (JSON)', '.json')):
        assert save(page, name)[0].endswith(suffix)


def test_opacity_is_that_of_the_picture(page, tiny_run):
    upload(page, tiny_run.images / '000000.jpg')
    pictures = []
    for value in ('0', '1'):
        slide(page, 'Opacity', value)
        page.wait_for_function(f"document.documentElement.style.getPropertyValue('--m2f-fill') == '{value}'")
        page.wait_for_function(f"getComputedStyle(document.querySelector('.m2f-segment')).fillOpacity == '{value}'")
        pictures.append(np.asarray(Image.open(io.BytesIO(save(page, 'Picture (PNG)')[1]))).astype(int))
    assert np.abs(pictures[0] - pictures[1]).mean() > 5


def test_tasks_and_thresholds(page, tiny_run):
    upload(page, tiny_run.images / '000000.jpg')
    page.get_by_text('Thresholds').click()
    page.get_by_label('instance', exact=True).first.check()
    page.get_by_label('range slider for Least score of an instance').first.wait_for()
    counts = []
    for value in ('0', '1'):
        slide(page, 'Least score of an instance', value)
        page.wait_for_function(f"document.querySelectorAll('.m2f-segment').length {'> 0' if value == '0' else '== 0'}")
        counts.append(page.locator('.m2f-segment').count())
    assert counts[0] > counts[1] == 0
    assert page.get_by_text('Nothing was found').is_visible()
    assert not page.get_by_role('button', name='Map of ids (PNG)').is_visible()
    page.get_by_label('semantic', exact=True).first.check()
    page.wait_for_selector('.m2f-segment', state='attached')
    assert set(page.locator('tbody td:nth-child(4)').all_inner_texts()) == {'–'}
    assert save(page, 'Map of ids (PNG)')[0] == '000000_ids.png'


def test_examples_camera_and_what_goes_wrong(page):
    page.locator('button.gallery-item').nth(1).click()
    page.wait_for_selector('img[alt="000001.jpg"]', state='attached')
    page.get_by_label('Remove Image').click()
    page.get_by_text('The result comes here').wait_for()
    page.get_by_label('Capture from camera').click()
    page.get_by_text('Click to Access Webcam').click()
    page.wait_for_function("document.querySelector('#m2f-photo video')?.videoWidth > 0")
    page.get_by_label('capture photo').click()
    page.wait_for_selector('.m2f-stage')
    page.get_by_placeholder('address of an image').fill('http://localhost/a.png')
    page.get_by_role('button', name='Fetch').click()
    page.get_by_text('not on the public internet').wait_for()
    page.get_by_label('Remove Image').click()
    page.get_by_label('Upload file').click()
    evil = dict(name='${alert(1)}{{1}}"><img src=x onerror=alert(2)>.jpg', mimeType='image/jpeg', buffer=b'no image')
    page.set_input_files('#m2f-photo input[type=file]', evil)
    page.get_by_text('no image that can be read').wait_for()


def test_nothing_is_wider_than_the_screen(page, tiny_run):
    upload(page, tiny_run.images / '000000.jpg')
    assert page.evaluate('document.documentElement.scrollWidth <= innerWidth')
    for part in ('.m2f-stage', '#m2f-view table', '#m2f-run', '.m2f-legend'):
        box = page.locator(part).bounding_box()
        assert box['x'] >= 0 and box['x'] + box['width'] <= page.viewport_size['width'] + 1
    colors = page.evaluate(
        "['color', 'backgroundColor'].map((key) => getComputedStyle(document.querySelector("
        "key == 'color' ? '#m2f-view tbody label' : 'body'))[key])"
    )
    text, ground = (sum(map(float, re.findall(r'[\d.]+', color)[:3])) / 3 for color in colors)
    assert abs(text - ground) > 150  # readable, in light and dark


def test_a_video(page, tmp_path):
    video = make_video(tmp_path / 'a.mp4', frames=4, fps=4)
    page.get_by_role('tab', name='Video').click()
    page.set_input_files('#m2f-video input[type=file]', video)
    page.locator('#m2f-video video').wait_for()
    page.locator('#m2f-track').click()
    page.locator('#m2f-tracks video').wait_for(timeout=60_000)
    page.wait_for_function("document.querySelector('#m2f-tracks video').readyState >= 1")
    assert page.locator('#m2f-tracks video').evaluate('v => v.error === null && v.videoWidth > 0')
    assert page.get_by_text('4 frames, as many as are tracked').is_visible()
    assert len(json.loads(save(page, 'Tracks (COCO-video JSON)')[1])['images']) == 4
