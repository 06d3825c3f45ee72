"""The server of deploy/, started as a user starts it, gets good and bad requests."""

import base64
import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mask2former.deployment.export import export
from tests.tiny import ROOT
from tests.tools import free_port, run_script, tool_env

pytest.importorskip('litserve', reason='it is what the server is made of')
httpx = pytest.importorskip('httpx', reason='requests are sent by it')
pytest.importorskip('onnxruntime', reason='it runs the model')
pytest.importorskip('onnx', reason='the model is written as ONNX')

from mask2former.deployment import mask2former_onnx  # noqa: E402  (needs onnxruntime)

SERVER = ROOT / 'deploy' / 'server.py'


@pytest.fixture(scope='module')
def file(tiny_predictor, tmp_path_factory):
    """With the runtime beside it, as `mask2former export` leaves it."""
    path = tmp_path_factory.mktemp('file') / 'model.onnx'
    export(tiny_predictor.inferencer.model, path, 'onnx', (64, 96))
    shutil.copy(mask2former_onnx.__file__, path.parent)
    return path


@contextlib.contextmanager
def serving(*command, log):
    """A client of a server, which is ended as systemd and Docker do it: by SIGTERM to the first process alone."""
    port = free_port()
    command = [sys.executable, *command, '--port', port]
    env = tool_env(PYTHONPATH=str(SERVER.parent))
    with open(log, 'w') as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=env, start_new_session=True)
    with httpx.Client(base_url=f'http://127.0.0.1:{port}', timeout=180) as client:
        try:
            wait_for(client, process, log)
            yield client
            process.terminate()
            process.wait(90)
            with pytest.raises(httpx.ConnectError):
                client.get('/health')
            assert 'Traceback' not in log.read_text()
        finally:
            with contextlib.suppress(ProcessLookupError):  # all have ended
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope='module')
def client(file):
    command = (SERVER, file, '--threads', '1', '--results', 'panoptic', 'instance')
    with serving(*command, log=file.with_suffix('.log')) as client:
        yield client


def wait_for(client, process, log):
    """Until the server is there."""
    end = time.monotonic() + 180
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            if client.get('/health').status_code == 200:
                return
        assert process.poll() is None, log.read_text()
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def photos(tiny_run):
    return [path.read_bytes() for path in sorted(tiny_run.images.glob('*.jpg'))]


def send(client, content, **query):
    return client.post('/predict', files=dict(image=content), params=query)


def ids_of(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert('RGB')).astype(int) @ [1, 256, 65536]


def test_json_and_png_are_the_runtime_s_results(client, file, tiny_run):
    model = mask2former_onnx.Model(file)
    for content in photos(tiny_run):
        expected = model(np.asarray(Image.open(io.BytesIO(content)).convert('RGB')))
        answer = send(client, content)
        assert answer.status_code == 200
        found = answer.json()
        assert found['size'] == [64, 96] and found.keys() == {'size', 'panoptic', 'segments', 'instances'}
        assert (ids_of(base64.b64decode(found['panoptic'])) == expected.panoptic).mean() > 0.999
        assert [one['name'] for one in found['segments']] == [one['name'] for one in expected.segments]
        scores = [one['score'] for one in expected.instances]
        np.testing.assert_allclose([one['score'] for one in found['instances']], scores, atol=1e-4)
        best = found['instances'][0]
        decoded = coco_mask.decode(coco_mask.frPyObjects(best['mask'], *best['mask']['size']))
        assert (decoded == expected.instances[0]['mask']).mean() > 0.999 and best['name'] == expected.instances[0][
            'name'
        ]
        picture = send(client, content, format='png')
        assert picture.headers['content-type'] == 'image/png'
        assert (ids_of(picture.content) == expected.panoptic).mean() > 0.999


def test_requests_at_a_time_get_their_own_answers(client, tiny_run):
    """With bad ones among them, which do not spoil the batch of the others."""
    contents = [*photos(tiny_run), b'no image'] * 5
    alone = [ids_of(send(client, content, format='png').content) for content in contents[:4]]
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda content: send(client, content, format='png'), contents))
    for number, answer in enumerate(answers):
        assert answer.status_code == (400 if number % 5 == 4 else 200)
        if number % 5 != 4:
            assert (ids_of(answer.content) == alone[number % 5]).mean() > 0.999
    assert any((alone[0] != other).any() for other in alone[1:])


def test_telephones_images_are_turned_upright(client, tiny_run):
    content, turned = io.BytesIO(), Image.Exif()
    turned[0x0112] = 6
    Image.open(tiny_run.images / '000000.jpg').save(content, 'JPEG', exif=turned)
    assert send(client, content.getvalue()).json()['size'] == [96, 64]


def test_bad_requests(client, tiny_run):
    photo = photos(tiny_run)[0]
    unreadable = 'This is no image that can be read: send a whole file'
    for content in (b'', b'no image', photo[: len(photo) // 2], b'%!PS-Adobe-3.0 EPSF-3.0'):
        answer = send(client, content)
        assert answer.status_code == 400 and answer.json()['detail'].startswith(unreadable)
    wide = io.BytesIO()
    Image.new('L', (2001, 2000)).save(wide, 'PNG')
    for content in (wide.getvalue(), bytes(11_000_000)):
        answer = send(client, content)
        assert answer.status_code == 413
        assert answer.json()['detail'] == 'The image has more than 10 MB or 4 million pixels: send a smaller one.'
    incomplete = 'Send a form with a file named image; format is json or png.'
    for answer in (
        send(client, photo, format='gif'),
        client.post('/predict', files=dict(picture=photo)),
        client.post('/predict', data=dict(image='text')),
        client.post('/predict', content=photo),
        client.post('/predict', json=dict(image=3)),
    ):
        assert answer.status_code == 400 and answer.json()['detail'] == incomplete
    assert client.get('/predict').status_code == 405
    assert send(client, photo).status_code == 200  # it is still there


def test_only_this_computer_is_served(client):
    listening = Path('/proc/net/tcp')
    if not listening.exists():
        pytest.skip('what listens is read from /proc')
    port = f'{client.base_url.port:04X}'
    places = [line.split()[1] for line in listening.read_text().splitlines()[1:] if line.split()[3] == '0A']
    assert [place for place in places if place.endswith(f':{port}')] == [f'0100007F:{port}']


def test_a_file_that_is_not_there(tmp_path):
    done = run_script(sys.executable, SERVER, tmp_path / 'x.onnx', cwd=tmp_path)
    assert done.returncode == 1 and "x.onnx': write it with `mask2former export`" in done.stderr
    assert 'Traceback' not in done.stderr


SLOW_MODEL = """
import time

import numpy as np


class Model:
    def __init__(self, path, threads):
        self.meta = dict(panoptic={}, instance=None, semantic=False)

    def batch(self, images):
        time.sleep(4)
        empty = type('Result', (), dict(panoptic=np.zeros((2, 2), int), segments=[], instances=None, semantic=None))
        return [empty for _ in images]
"""
SHORT_LIMITS = """
import server

server.SECONDS, server.CONNECTIONS, server.BATCH = 3, 12, 2
if __name__ == '__main__':
    server.main()
"""


def test_limits_of_time_and_connections(tmp_path):
    """With a model that takes four seconds for two images: of five requests the last ones wait longer than three."""
    (tmp_path / 'mask2former_onnx.py').write_text(SLOW_MODEL)
    (tmp_path / 'short.py').write_text(SHORT_LIMITS)
    (tmp_path / 'model.onnx').touch()
    photo = io.BytesIO()
    Image.new('RGB', (2, 2)).save(photo, 'PNG')
    with serving(tmp_path / 'short.py', tmp_path / 'model.onnx', log=tmp_path / 'log') as client:
        with ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(lambda content: send(client, content), [photo.getvalue()] * 5))
        codes = [answer.status_code for answer in answers]
        assert set(codes) == {200, 504} and codes.count(504) >= 1
        assert 'timed out' in next(answer for answer in answers if answer.status_code == 504).json()['detail']
        with contextlib.ExitStack() as stack:
            for _ in range(12):
                stack.enter_context(socket.create_connection((client.base_url.host, client.base_url.port)))
            with httpx.Client(base_url=client.base_url, timeout=180) as late:  # whose connection comes after those
                assert send(late, photo.getvalue()).status_code == 503
        end = time.monotonic() + 60  # until the server sees that they are closed
        while (answer := send(client, photo.getvalue())).status_code == 503 and time.monotonic() < end:
            time.sleep(0.2)
        assert answer.status_code == 200
