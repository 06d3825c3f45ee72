"""Images from an address: those of the public internet, and nothing of the network that the page stands in."""

import http.server
import socket
import threading
import time

import pytest

from mask2former.errors import DataError
from mask2former.page import fetch as module
from mask2former.page.fetch import fetch, is_public


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves paths that say what they do."""

    def do_GET(self):
        self.server.asked.append((self.headers['Host'], self.path))
        kind, _, rest = self.path[1:].partition('/')
        if kind == 'to':
            self.send_response(302)
            self.send_header('Location', rest)
            self.end_headers()
        elif kind == 'status':
            self.send_error(int(rest))
        else:
            self.send_response(200)
            self.end_headers()
            for _ in range(int(rest or 1)):
                self.wfile.write(b'x' * 100)
                self.wfile.flush()
                if kind == 'slow':
                    time.sleep(0.2)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server here that every public number leads to: `example.org` and `mirror.org` are such, `inside.org` is not."""
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.asked, server.connected = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    numbers = {
        'xn--exmple-cua.org': '8.8.4.4',
        'example.org': '93.184.216.34',
        'mirror.org': '2606:2800:21f:cb07::1',
        'inside.org': '10.0.0.7',
    }

    look_up = socket.getaddrinfo

    def getaddrinfo(host, port, *arguments, **options):
        if host == 'nowhere.invalid':
            raise socket.gaierror
        return look_up(numbers.get(host, host), port, *arguments, **options)

    connect = module.httpcore.SyncBackend.connect_tcp

    def connect_tcp(self, host, port, *arguments):
        server.connected.append((host, port))
        return connect(self, '127.0.0.1', server.server_port, *arguments)

    monkeypatch.setattr(module.socket, 'getaddrinfo', getaddrinfo)
    monkeypatch.setattr(module.httpcore.SyncBackend, 'connect_tcp', connect_tcp)
    yield server
    server.shutdown()
    server.server_close()


def get(url, **options):
    return fetch(url, **dict(dict(max_bytes=1000, seconds=5), **options))


def test_it_connects_to_the_number_that_was_checked(server):
    assert get('http://example.org/plain/2') == b'x' * 200
    assert server.connected == [('93.184.216.34', 80)]
    assert server.asked == [('example.org', '/plain/2')]


def test_redirects_are_followed_and_checked(server):
    assert get('http://example.org/to/http://mirror.org/plain/1') == b'x' * 100
    assert [number for number, _ in server.connected] == ['93.184.216.34', '2606:2800:21f:cb07::1']
    for inner in ('http://inside.org/a', 'http://127.0.0.1/a', 'http://example.org:22/a', 'file:///etc/passwd'):
        before = len(server.connected)
        with pytest.raises(DataError):
            get('http://example.org/to/' + inner)
        assert len(server.connected) == before + 1  # the first one only
    with pytest.raises(DataError, match='more than 3 times'):
        get('http://example.org/to/' * 8)


def test_size_time_and_answers_are_bounded(server):
    with pytest.raises(DataError, match='more than 0.001 MB'):
        get('http://example.org/plain/20')
    start = time.monotonic()
    with pytest.raises(DataError, match='within 1 s'):
        get('http://example.org/slow/100', seconds=1, max_bytes=10**6)
    assert time.monotonic() - start < 3
    with pytest.raises(DataError, match='answers with 404'):
        get('http://example.org/status/404')


@pytest.mark.parametrize(
    'url',
    [
        'http://127.0.0.1/',
        'http://localhost/',
        'http://2130706433/',
        'http://0x7f.1/',
        'http://0/',
        'http://[::1]/',
        'http://[::ffff:127.0.0.1]/',
        'http://[64:ff9b::7f00:1]/',
        'http://[2002:7f00:1::]/',
        'http://169.254.169.254/latest/meta-data',
        'http://10.0.0.1/',
        'http://100.64.0.1/',
    ],
)
def test_places_that_are_not_public_are_refused(url, monkeypatch):
    def connected(*arguments):
        raise AssertionError('it connects')

    monkeypatch.setattr(module.httpcore.SyncBackend, 'connect_tcp', connected)
    with pytest.raises(DataError, match='not on the public internet'):
        get(url)


def test_one_private_number_of_several_is_enough(monkeypatch):
    entries = [(2, 1, 6, '', (number, 80)) for number in ('93.184.216.34', '192.168.1.1')]
    monkeypatch.setattr(module.socket, 'getaddrinfo', lambda *a, **k: entries)
    with pytest.raises(DataError, match='not on the public internet'):
        get('http://example.org/')


@pytest.mark.parametrize(
    'url, said',
    [
        ('', 'whole address'),
        ('example.org/a.jpg', 'whole address'),
        ('file:///etc/passwd', 'whole address'),
        ('gopher://example.org/', 'whole address'),
        ('http://a\r\nX: y/', 'whole address'),
        ('http://[x', 'whole address'),
        ('http://example.org:22/', 'no port'),
        ('http://me@example.org/', 'no port'),
        ('http://nowhere.invalid/', 'no host'),
    ],
)
def test_what_is_no_address(url, said, server):
    with pytest.raises(DataError, match=said):
        get(url)
    assert server.connected == []


def test_letters_of_all_scripts(server):
    assert get('http://exämple.org/ä b#part') == b'x' * 100
    assert server.asked == [('xn--exmple-cua.org', '/%C3%A4%20b')]


def test_public_numbers():
    assert is_public('8.8.8.8') and is_public('2001:4860:4860::8888') and is_public('::ffff:8.8.8.8')
    assert not any(
        is_public(number) for number in ('224.0.0.1', 'fc00::1', 'fec0::1', 'fe80::1%eth0', '192.0.2.1', 'x')
    )
