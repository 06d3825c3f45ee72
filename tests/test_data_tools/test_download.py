"""The downloader, against a server of the test that cuts, refuses ranges, and lies; and archives that mean harm."""

import functools
import hashlib
import http.server
import io
import stat
import tarfile
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from mask2former.data_tools.download import prepare
from mask2former.data_tools.download import unpack as unpacking
from mask2former.data_tools.download.fetch import TRIES, fetch
from mask2former.data_tools.download.releases import BY_HAND, RELEASES, Release, RemoteFile
from mask2former.data_tools.download.unpack import unpack
from mask2former.errors import DataError

from .kit import failure, run


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``state.files``; ``state.cuts`` says after how many bytes each of the next answers breaks off."""

    def __init__(self, state, *arguments):
        self.state = state
        super().__init__(*arguments)

    def log_message(self, *_):
        pass

    def do_GET(self):
        state, wanted = self.state, self.headers.get('Range')
        state.asked.append(wanted)
        if state.errors:
            return self.send_error(state.errors.pop(0))
        content = state.files.get(self.path)
        if content is None:
            return self.send_error(404)
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        begin = 0
        if wanted and state.ranges and self.headers.get('If-Range', tag) == tag:
            begin = int(wanted.removeprefix('bytes=').removesuffix('-'))
            if begin >= len(content):
                self.send_response(416)
                self.send_header('Content-Range', f'bytes */{len(content)}')
                self.send_header('Content-Length', '0')
                return self.end_headers()
            self.send_response(206)
            self.send_header('Content-Range', f'bytes {begin}-{len(content) - 1}/{len(content)}')
        else:
            self.send_response(200)
        self.send_header('ETag', tag)
        self.send_header('Content-Length', str(len(content) - begin))
        self.end_headers()
        self.wfile.write(content[begin:][: state.cuts.pop(0) if state.cuts else None])
        self.close_connection = True


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv('no_proxy', '*')
    state = SimpleNamespace(files={}, asked=[], errors=[], cuts=[], ranges=True)
    httpd = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Handler, state))
    threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
    state.url = f'http://127.0.0.1:{httpd.server_port}'
    yield state
    httpd.shutdown()
    httpd.server_close()


def zipped(entries, **attributes):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = attributes.get(name, 0o644) << 16
            file.writestr(info, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


CONTENT = zipped(
    {f'a/{number}.bin': hashlib.shake_256(bytes([number])).digest(300) + bytes(9300) for number in range(60)}
)
SUM = hashlib.sha256(CONTENT).hexdigest()


def remote(server, content=CONTENT, digest=f'sha256:{SUM}', name='a.zip', **more):
    server.files[f'/{name}'] = content
    return RemoteFile('all', f'{server.url}/{name}', 'set', digest=digest, **more)


def test_resumes_within_a_run_and_in_the_next(server, tmp_path):
    """A cut is fixed by asking for the rest, at once or, where the server is gone for longer, in another run."""
    file = remote(server)
    server.cuts = [5000, 4000]
    assert fetch(file, tmp_path, wait=0).read_bytes() == CONTENT
    assert server.asked == [None, 'bytes=5000-', 'bytes=9000-']
    (tmp_path / 'a.zip').unlink()

    server.cuts, server.asked[:] = [7000] + [0] * TRIES, []
    with pytest.raises(DataError, match=r'broke off at 7.00kB \(the server closed the connection\); run this again'):
        fetch(file, tmp_path, wait=0)
    assert (tmp_path / 'a.zip.part').stat().st_size == 7000 and not (tmp_path / 'a.zip').exists()
    server.cuts = []
    assert fetch(file, tmp_path, wait=0).read_bytes() == CONTENT and server.asked[-1] == 'bytes=7000-'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.zip', 'a.zip.sha256']
    server.asked.clear()
    fetch(file, tmp_path)
    assert not server.asked, 'what is there is not downloaded'


def test_server_without_range_begins_again(server, tmp_path):
    file, server.ranges, server.cuts = remote(server), False, [5000]
    assert fetch(file, tmp_path, wait=0).read_bytes() == CONTENT
    assert server.asked == [None, 'bytes=5000-']


def test_file_that_changed_meanwhile_begins_again(server, tmp_path):
    other = zipped({'b': b'1' * 9000, 'c': hashlib.shake_256(b'').digest(9000)})
    server.cuts = [500] + [0] * TRIES
    with pytest.raises(DataError):
        fetch(remote(server), tmp_path, wait=0)
    assert fetch(remote(server, other, None), tmp_path, wait=0).read_bytes() == other


def test_part_that_is_complete_or_too_long(server, tmp_path):
    file = remote(server)
    (tmp_path / 'a.zip.part').write_bytes(CONTENT)
    assert fetch(file, tmp_path, wait=0).read_bytes() == CONTENT
    assert server.asked == [f'bytes={len(CONTENT)}-']
    (tmp_path / 'a.zip').unlink()
    (tmp_path / 'a.zip.part').write_bytes(CONTENT + b'more')
    assert fetch(file, tmp_path, wait=0).read_bytes() == CONTENT


def test_errors_of_the_server(server, tmp_path):
    file = remote(server)
    server.errors = [503, 429]
    fetch(file, tmp_path, wait=0)
    assert len(server.asked) == 3
    with pytest.raises(DataError, match=r"no.zip' cannot be downloaded \(404 Not Found\); look for its") as info:
        fetch(RemoteFile('all', f'{server.url}/no.zip', 'set'), tmp_path)
    assert '\n' not in str(info.value)
    with pytest.raises(DataError, match='1 are published: it is another file now'):
        fetch(remote(server, name='b.zip', size=1), tmp_path)
    with pytest.raises(DataError, match='broke off at 0.00B .*refused'):
        fetch(RemoteFile('all', 'http://127.0.0.1:1/c.zip', 'set'), tmp_path, wait=0)


def test_wrong_checksum(server, tmp_path):
    for digest in (f'sha256:{"0" * 64}', f'sha1:{"0" * 40}'):
        with pytest.raises(DataError, match='0000 is published; it was deleted: run this again'):
            fetch(remote(server, digest=digest), tmp_path)
        assert not list(tmp_path.iterdir())
    fetch(remote(server, digest=f'sha1:{hashlib.sha1(CONTENT).hexdigest()}'), tmp_path)


def test_without_published_checksum(server, tmp_path):
    """The archive is tested, and what came first is remembered."""
    broken = bytearray(CONTENT)
    broken[60] ^= 255
    for content in (bytes(broken), CONTENT[:-100], b'<html>'):
        with pytest.raises(DataError, match="The archive '.*a.zip' is broken .* delete it and run this again") as info:
            fetch(remote(server, content, None), tmp_path, wait=0)
        assert '\n' not in str(info.value)
        (tmp_path / 'a.zip').unlink()
    file = remote(server, digest=None)
    fetch(file, tmp_path)
    assert (tmp_path / 'a.zip.sha256').read_text() == f'{SUM}  a.zip\n', 'as sha256sum -c reads it'
    fetch(file, tmp_path)
    (tmp_path / 'a.zip').unlink()
    with pytest.raises(DataError, match="a.zip.sha256' says"):
        fetch(remote(server, zipped({'b': b'2'}), None), tmp_path)


def test_unpack(tmp_path):
    (tmp_path / 'a.zip').write_bytes(zipped({'d/': '', 'd/x.txt': 'x', '__MACOSX/d/._x.txt': '', 'd/.DS_Store': ''}))
    with tarfile.open(tmp_path / 'b.tar', 'w') as file:
        file.add(tmp_path / 'a.zip', 'e/a.zip')
    for name in ('a.zip', 'b.tar'):
        unpack(tmp_path / name, tmp_path / 'out')
    found = {path.relative_to(tmp_path / 'out').as_posix() for path in (tmp_path / 'out').rglob('*') if path.is_file()}
    assert found == {'d/x.txt', 'e/a.zip'}
    assert (tmp_path / 'out' / 'e' / 'a.zip').read_bytes() == (tmp_path / 'a.zip').read_bytes()
    (tmp_path / 'out' / 'd' / 'x.txt').write_text('y')
    (tmp_path / 'out' / 'e' / 'a.zip').write_text('cut off')
    for name in ('a.zip', 'b.tar'):
        unpack(tmp_path / name, tmp_path / 'out')
    assert (tmp_path / 'out' / 'd' / 'x.txt').read_text() == 'y', 'what is there is left'
    assert (tmp_path / 'out' / 'e' / 'a.zip').read_bytes() == (tmp_path / 'a.zip').read_bytes()


@pytest.mark.parametrize('name', ['../x', 'a/../../x', '/x', 'C:\\x', '..\\x', 'a\\..\\..\\x'])
def test_nothing_is_unpacked_outside(tmp_path, name):
    (tmp_path / 'a.zip').write_bytes(zipped({'good': '', name: 'bad'}))
    with tarfile.open(tmp_path / 'a.tar', 'w') as file:
        for entry in ('good', name):
            file.addfile(tarfile.TarInfo(entry))
    for archive in ('a.zip', 'a.tar'):
        with pytest.raises(DataError, match='outside of the folder; .*nothing was unpacked'):
            unpack(tmp_path / archive, tmp_path / 'in' / 'out')
    assert sorted(path.name for path in tmp_path.rglob('*')) == ['a.tar', 'a.zip']


def test_no_link_is_unpacked(tmp_path):
    (tmp_path / 'a.zip').write_bytes(zipped({'good': '', 'link': '/etc'}, link=stat.S_IFLNK | 0o777))
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        with tarfile.open(tmp_path / f'{kind.decode()}.tar', 'w') as file:
            file.addfile(tarfile.TarInfo('good'))
            info = tarfile.TarInfo('link')
            info.type, info.linkname = kind, '/etc'
            file.addfile(info)
    archives = list(tmp_path.iterdir())
    for archive in archives:
        with pytest.raises(DataError, match='link.*nothing was unpacked'):
            unpack(archive, tmp_path / 'out')
    assert sorted(tmp_path.iterdir()) == sorted(archives)


def test_space(server, tmp_path, monkeypatch):
    file = remote(server)
    monkeypatch.setattr(unpacking.shutil, 'disk_usage', lambda path: SimpleNamespace(free=len(CONTENT) - 1))
    with pytest.raises(DataError, match="'a.zip' needs .*kB, but the disk of .* free; free some"):
        fetch(file, tmp_path / 'new')
    (tmp_path / 'a.zip').write_bytes(CONTENT)
    with pytest.raises(DataError, match="The content of 'a.zip' needs 576kB"):
        unpack(tmp_path / 'a.zip', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.fixture
def release(server, monkeypatch):
    """A data set of two archives, one with an archive in it."""
    inner = zipped({'p/1.png': 'png'})
    files = (
        remote(server, zipped({'t/1.jpg': 'jpg'}), None, 't.zip'),
        remote(server, zipped({'n/p.json': '{}', 'n/p.zip': inner}), None, 'n.zip', nested=('n/p.zip',)),
    )
    files = tuple(RemoteFile(part, file.url, 'set', nested=file.nested) for part, file in zip(('t', 'n'), files))
    monkeypatch.setitem(RELEASES, 'mine', Release('Mine', 'https://example.org', files))
    return server


def test_tool(release, tmp_path):
    printed = run('download', 'mine', '--out', tmp_path / 'data', '--only', 't')
    assert 'Mine (t) is in' in printed and 'https://example.org' in printed
    run('download', 'mine', '--out', tmp_path / 'data', '--keep-archives')
    data = tmp_path / 'data'
    found = {path.relative_to(data).as_posix() for path in data.rglob('*') if path.is_file()}
    assert found == {
        'set/t/1.jpg',
        'set/n/p.json',
        'set/n/p/1.png',
        'downloads/t.zip.sha256',
        'downloads/n.zip.sha256',
        'downloads/t.zip.unpacked',
        'downloads/n.zip.unpacked',
        'downloads/n.zip',
    }
    assert len(release.asked) == 2
    assert 'nothing to do' in run('download', 'mine', '--out', tmp_path / 'data') and len(release.asked) == 2
    assert "no part 'tt'; did you mean 't'?" in failure('download', 'mine', '--only', 'tt', '--out', tmp_path)
    assert "no data set 'cocoo'; did you mean 'coco'" in failure('download', 'cocoo', '--out', tmp_path)


def test_list_and_accounts(tmp_path):
    printed = run('download', '--list')
    assert all(f'{name}: ' in printed for name in RELEASES) and 'train2017.zip' in printed and '19.34 GB' in printed
    for name in BY_HAND:
        sentence = failure('download', name, '--out', tmp_path)
        assert (
            'https://' in sentence
            and f'into {tmp_path}' in sentence
            and sentence.split('Error: ')[1] in [f'{text.format(out=tmp_path)}.' for text in BY_HAND.values()]
        )


def test_the_table_is_whole():
    for release in RELEASES.values():
        assert release.homepage.startswith('http') and len({file.part for file in release.files}) == len(release.files)
        for file in release.files:
            assert file.name.endswith(('.zip', '.tar')) and not Path(file.target).is_absolute()
            if file.digest:
                kind, _, digest = file.digest.partition(':')
                assert len(digest) == 2 * hashlib.new(kind).digest_size and int(digest, 16)
    assert prepare.list_releases().count('published') == 10
