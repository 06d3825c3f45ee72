"""Archives of strangers: nothing lies outside of the folder afterwards, and what is wrong is one sentence."""

import io
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

from mask2former.data_tools.download.unpack import unpack

from .kit import FINE, last_line

OUTSIDE = 'which lies outside of the folder; it is not what it should be, nothing was unpacked'
NO_NAME = 'which no file can be called; nothing was unpacked|which lies outside of the folder'
MEMBERS = [  # names of the members, the last line
    (['a/b.txt'], FINE),
    (['a/../../evil'], OUTSIDE),
    (['../evil'], OUTSIDE),
    (['/evil'], OUTSIDE),
    (['..'], OUTSIDE),
    (['a/..'], OUTSIDE),
    (['..\\..\\evil'], OUTSIDE),
    (['C:/evil'], OUTSIDE),
    (['C:evil'], OUTSIDE),
    (['\\\\server\\share\\evil'], OUTSIDE),
    (['good.txt', '../evil'], OUTSIDE),
    (['.'], NO_NAME),
    (['./'], NO_NAME),
    (['n' * 300], NO_NAME),
    (['ü' * 200], NO_NAME),
    (['a', 'a/b'], "holds 'a/b' below a file; it is not whole"),
    (['a.txt', 'a.txt'], FINE),
    (['line\nfeed.txt'], FINE),
    (['__MACOSX/x', '.DS_Store', 'a.txt'], FINE),
    ([], FINE),
]
SPECIAL = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]


def make(path: Path, names: list[str]) -> None:
    if path.suffix == '.zip':
        with zipfile.ZipFile(path, 'w') as file:
            for name in names:
                file.writestr(zipfile.ZipInfo(name), b'content')
        return
    with tarfile.open(path, 'w') as file:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 7
            file.addfile(info, io.BytesIO(b'content'))


def outside(folder: Path) -> list[str]:
    """What lies beside the folder that is unpacked to, and beside the archive."""
    return [path.name for path in folder.iterdir() if path.name not in ('target', 'x.tar', 'x.zip')]


@pytest.mark.filterwarnings('ignore:Duplicate name')
@pytest.mark.parametrize('suffix', ['tar', 'zip'])
@pytest.mark.parametrize(('names', 'last'), MEMBERS, ids=[ascii(names)[:40] for names, _ in MEMBERS])
def test_members(tmp_path, suffix, names, last):
    make(tmp_path / f'x.{suffix}', names)
    line = last_line(lambda: unpack(tmp_path / f'x.{suffix}', tmp_path / 'target'))
    if suffix == 'zip' and names == ['./']:
        last = FINE  # a folder
    assert line == FINE if last == FINE else re.search(last, line), line
    assert not outside(tmp_path)
    if last in (OUTSIDE, NO_NAME):
        assert not [path for path in (tmp_path / 'target').rglob('*') if path.is_file()]


@pytest.mark.parametrize('kind', SPECIAL)
def test_links_and_devices(tmp_path, kind):
    with tarfile.open(tmp_path / 'x.tar', 'w') as file:
        info = tarfile.TarInfo('entry')
        info.type, info.linkname = kind, '/etc/passwd'
        file.addfile(info)
    line = last_line(lambda: unpack(tmp_path / 'x.tar', tmp_path / 'target'))
    assert 'a link or device' in line and not (tmp_path / 'target' / 'entry').exists()


@pytest.mark.parametrize('suffix', ['tar', 'zip'])
@pytest.mark.parametrize('content', [b'', b'junk', b'<html>', b'\0' * 3000, b'PK\x05\x06', 'half', 'flipped'])
def test_broken_ones(tmp_path, suffix, content):
    path = tmp_path / f'x.{suffix}'
    make(path, ['a.txt', 'b.txt'])
    if content == 'half':
        content = path.read_bytes()[: 1100 if suffix == 'tar' else 60]
    elif content == 'flipped':
        content = bytearray(path.read_bytes())
        content[3 if suffix == 'tar' else 40] ^= 255
    path.write_bytes(content)
    line = last_line(lambda: unpack(path, tmp_path / 'target'))
    assert line == FINE or re.search("^Error: The archive '.*' is broken", line), line
    assert not outside(tmp_path)
