"""The page over HTTP, as a program that means no good asks: no file of the server, no address, nothing too large."""

import http.server
import json
import logging
import threading
import uuid

import httpx
import pytest

from mask2former.errors import ConfigError, DataError
from mask2former.formats.video_frames import FileFrames
from mask2former.page.command import is_private
from mask2former.page.video_tab import CONTAINERS
from tests.test_formats.videos import make_video


@pytest.fixture
def local():
    """A server that counts what is asked of it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def events(address):
    return {event['api_name']: event['id'] for event in httpx.get(address + '/config').json()['dependencies']}


def join(address, name, *data, session='x', kind='application/json'):
    """Ask for an event; returns the answer."""
    ask = json.dumps(dict(data=data, fn_index=events(address)[name], session_hash=session)).encode()
    return httpx.post(address + '/gradio_api/queue/join', content=ask, headers={'content-type': kind} if kind else {})


def call(address, name, *data):
    """Have an event happen; returns its end: ``success`` and ``output``."""
    session = uuid.uuid4().hex
    join(address, name, *data, session=session).raise_for_status()
    with httpx.stream(
        'GET', address + '/gradio_api/queue/data', params=dict(session_hash=session), timeout=60
    ) as lines:
        for line in lines.iter_lines():
            if 'process_completed' in line:
                return json.loads(line.removeprefix('data: '))
    raise AssertionError('no answer')


def file_data(**values):
    return dict(meta={'_type': 'gradio.FileData'}, **values)


def upload(address, content, name='a.jpg'):
    return httpx.post(address + '/gradio_api/upload', files=dict(files=(name, content)))


OPTIONS = 'panoptic', 0.3, 0.05, 0.0


def test_an_uploaded_image_is_segmented(address, tiny_run):
    [path] = upload(address, (tiny_run.images / '000000.jpg').read_bytes()).json()
    end = call(address, 'find', file_data(path=path, orig_name='mine.jpg'), *OPTIONS)
    assert end['success'] and 'alt="mine.jpg"' in end['output']['data'][1]


def test_no_file_of_the_server_is_opened(address, tiny_run, tmp_path):
    image = tiny_run.images / '000000.jpg'
    for path in (image, '/etc/passwd', '/dev/zero', '/tmp/gradio/../../etc/passwd', ''):
        assert not call(address, 'find', file_data(path=str(path)), *OPTIONS)['success']
        assert not call(address, 'find', file_data(path=str(path), is_stream=True), *OPTIONS)['success']
        assert not call(address, 'track', file_data(path=str(path)), 'panoptic', 0.3, 1)['success']
        if path:
            assert httpx.get(f'{address}/gradio_api/file={path}').status_code in (403, 404)


def test_gradio_fetches_no_address(address, local, monkeypatch):
    from gradio import processing_utils

    async def fetched(url, *arguments):
        raise AssertionError('it is fetched')

    monkeypatch.setattr(processing_utils, 'async_ssrf_protected_download', fetched)
    for url in (f'http://127.0.0.1:{local.server_port}/a.jpg', 'https://93.184.216.34/a.jpg'):
        files = file_data(path=url), file_data(path=url, url=url), [dict(deep=file_data(path=url))]
        for file in files:
            for kind in ('application/json', None):
                answer = join(address, 'find', file, *OPTIONS, kind=kind)
                assert (answer.status_code, answer.json()['detail']) == (
                    400,
                    'Upload the file itself, not its address.',
                )
            assert join(address, 'show', None, file, 0.3).status_code == 400
    assert not call(address, 'fetch', f'http://127.0.0.1:{local.server_port}/a.jpg')['success']
    assert httpx.get(f'{address}/gradio_api/proxy=http://127.0.0.1:{local.server_port}/a').status_code >= 400
    assert local.asked == []


def test_large_requests_that_are_no_uploads(address):
    assert join(address, 'fetch', 'x' * 5_000_000).status_code == 413
    assert httpx.post(address + '/gradio_api/queue/join', content=b'[' * 100_000).status_code == 422


def test_what_is_too_large_or_no_image(address):
    assert upload(address, b'0' * 600_000).status_code == 413
    [path] = upload(address, b'no image').json()
    error = call(address, 'find', file_data(path=path), *OPTIONS)['output']['error']
    assert error.startswith('This is no image that can be read')
    [path] = upload(address, b'no video', 'a.mp4').json()
    error = call(address, 'track', file_data(path=path), 'panoptic', 0.3, 1)['output']['error']
    assert error.startswith('This is no video that can be read')


def test_a_video_is_tracked_as_far_as_the_limit(address, tmp_path):
    video = make_video(tmp_path / 'a.mp4', frames=9, fps=5)
    [path] = upload(address, video.read_bytes(), 'a.mp4').json()
    end = call(address, 'track', file_data(path=path, orig_name='mine.mp4'), 'instance', 0.0, 2)
    assert end['success']
    result, facts, *_ = end['output']['data']
    assert facts.startswith('4 frames, as many as are tracked')
    found = httpx.get(f'{address}/gradio_api/file={result["path"]}')
    (tmp_path / 'tracked.mp4').write_bytes(found.content)
    assert [frame.place for frame in FileFrames(str(tmp_path / 'tracked.mp4'))] == [0, 1, 2, 3]


def test_a_playlist_is_no_video(tmp_path):
    secret = make_video(tmp_path / 'secret.ts', frames=3, flags='')
    playlist, others = tmp_path / 'a.m3u8', tmp_path / 'b.mp4'
    playlist.write_text('#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.ts\n#EXT-X-ENDLIST\n')
    others.write_text('ffconcat version 1.0\nfile secret.ts\n')
    for path in (playlist, others):
        assert len(list(FileFrames(str(path)))) == 3  # FFmpeg goes on to the other file
        with pytest.raises(DataError, match='cannot be opened'):
            FileFrames(str(path), containers=CONTAINERS)
    assert len(list(FileFrames(str(secret), containers=CONTAINERS))) == 3


def test_requests_are_limited(model, tiny_run):
    from mask2former.page.app import make_page, serve
    from mask2former.page.limits import Limits

    page = make_page(model, Limits(per_minute=1))
    address = serve(page, wait=False).rstrip('/')
    [path] = upload(address, (tiny_run.images / '000000.jpg').read_bytes()).json()
    assert call(address, 'find', file_data(path=path), *OPTIONS)['success']
    assert (
        'More than 1 requests in a minute' in call(address, 'find', file_data(path=path), *OPTIONS)['output']['error']
    )
    assert address.startswith('http://127.0.0.1:') and page.share_url is None
    page.close()


def test_the_page_asks_nobody_else_and_tells_nothing(address):
    page = httpx.get(address).text
    assert 'fonts.googleapis.com' not in page
    config = httpx.get(address + '/config').json()
    assert not config['analytics_enabled'] and not config.get('run_history')
    assert httpx.get(address + '/gradio_api/info').json()['named_endpoints'] == {}


@pytest.mark.parametrize(
    'host, share, private',
    [('127.0.0.1', False, True), ('localhost', False, True), ('::1', False, True), ('0.0.0.0', False, False)]
    + [('127.0.0.1', True, False), ('192.168.1.2', False, False), ('example.org', False, False)],
)
def test_images_of_the_data_set_are_examples_only_here(host, share, private):
    assert is_private(host, share) == private


def test_images_of_the_data_set(model, tiny_run):
    assert [path.name for path in model.data_images(2)] == ['000000.jpg', '000001.jpg']
    assert model.tasks_of_videos == model.studio.tasks == ('panoptic', 'instance', 'semantic')


def test_models_without_results(model, monkeypatch):
    from mask2former.page.studio import Studio

    monkeypatch.setattr(model.model, 'postprocessors', [])
    with pytest.raises(ConfigError, match='no results to show'):
        Studio(model.studio.predictor, model.lock)


def test_log_files_of_trainings_stay_open(model, tmp_path):
    from mask2former.page.app import make_page, serve

    handler = logging.FileHandler(tmp_path / 'training.log', mode='w')
    page = make_page(model)
    serve(page, wait=False)
    page.close()
    assert handler.stream is not None and not handler.stream.closed
    handler.close()
