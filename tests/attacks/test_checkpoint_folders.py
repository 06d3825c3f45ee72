"""Folders in the place of a checkpoint, as a sharded training writes them, whose checksums are right."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.filesystem import _StorageInfo

from mask2former.checkpoints.read import read_raw
from mask2former.checkpoints.sharded_folder import _sum_of

from .kit import FINE, last_line
from .test_checkpoint_files import EVIL, MARK, TO_MEMORY, nested, torch_file

NAME = 'state_dict/backbone.a'
SPOILT = 'is no checkpoint of this package, or is damaged'


@pytest.fixture(scope='module')
def sound(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('sound') / 'iter_1.dcp'
    dcp.save({NAME: torch.arange(6.0)}, storage_writer=dcp.FileSystemWriter(folder), no_dist=True)
    write_rest(folder)
    return folder


def write_rest(folder: Path, content: bytes | None = None, **changes) -> None:
    """Write what is beside the tensors, with the checksums of the files as they are."""
    sums = {path.name: _sum_of(path) for path in folder.iterdir() if path.name != 'rest.pth'}
    rest = dict(checkpoint=dict(state_dict={'backbone.a': None}), paths={NAME: ('state_dict', 'backbone.a')}, sums=sums)
    (folder / 'rest.pth').write_bytes(torch_file(dict(rest, **changes)) if content is None else content)


def with_metadata(change: Callable[[object], object]) -> Callable[[Path], None]:
    """The folder with a change of what is pickled in ``.metadata``."""

    def apply(folder: Path) -> None:
        metadata = pickle.loads((folder / '.metadata').read_bytes())
        (folder / '.metadata').write_bytes(pickle.dumps(change(metadata)))

    return apply


def with_bytes(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def sized(*size: int) -> Callable[[Path], None]:
    def change(metadata):
        metadata.state_dict_metadata[NAME].size = torch.Size(size)
        return metadata

    return with_metadata(change)


def stored(**values) -> Callable[[Path], None]:
    def change(metadata):
        [index] = metadata.storage_data
        old = metadata.storage_data[index]
        metadata.storage_data[index] = _StorageInfo(
            values.get('relative_path', old.relative_path), values.get('offset', old.offset), old.length
        )
        return metadata

    return with_metadata(change)


def outside(folder: Path) -> None:
    """The file of the tensors is another folder's."""
    shutil.copy(folder / '__0_0.distcp', folder.parent / 'elsewhere.distcp')
    stored(relative_path='../elsewhere.distcp')(folder)


ATTACKS: dict[str, Callable[[Path], None]] = {
    'code': with_metadata(lambda metadata: EVIL),
    'code among tensors': with_metadata(lambda metadata: [metadata, EVIL]),
    'code, protocol 2': with_bytes('.metadata', pickle.dumps(EVIL, protocol=2)),
    'code, protocol 0': with_bytes('.metadata', pickle.dumps(EVIL, protocol=0)),
    'an address': with_metadata(lambda metadata: TO_MEMORY),
    'a list': with_metadata(lambda metadata: [1]),
    'empty': with_bytes('.metadata', b''),
    'noise': with_bytes('.metadata', b'\x80\x05noise'),
    'doubling': with_bytes('.metadata', nested(60)),
    'deep': with_bytes('.metadata', b'\x80\x02' + b'(' * 100_000 + b't' * 100_000 + b'.'),
    'a huge tensor': sized(2**40),
    'a negative tensor': sized(-6),
    'a longer tensor': sized(7),
    'another folder': outside,
    'an absolute path': stored(relative_path='/etc/passwd'),
    'a device': stored(relative_path='/dev/zero'),
    'an offset behind the end': stored(offset=10**9),
    'code in a part': with_bytes('__0_0.distcp', torch_file(EVIL)),
}  # fmt: skip


@pytest.mark.parametrize('name', ATTACKS)
def test_a_folder_that_is_none(sound, tmp_path, name):
    folder = tmp_path / 'iter_1.dcp'
    shutil.copytree(sound, folder)
    ATTACKS[name](folder)
    write_rest(folder)
    line = last_line(lambda: read_raw(folder))
    assert not MARK.exists(), 'code of the folder ran'
    assert 'iter_1.dcp' in line and SPOILT in line, line
    if 'code' in name and name != 'code in a part':
        assert '(it asks for posix.system)' in line or '(it asks for nt.system)' in line, line


RESTS = {
    'code': lambda folder: write_rest(folder, x=EVIL),
    'no dict': lambda folder: write_rest(folder, content=torch_file([1])),
    'a sum of a file outside': lambda folder: write_rest(folder, sums={'../../x': (0, 0)}),
    'a file that is gone': lambda folder: (folder / '__0_0.distcp').unlink(),
    'sums of text': lambda folder: write_rest(folder, sums={'.metadata': 'x'}),
    'keys that lead nowhere': lambda folder: write_rest(folder, paths={NAME: ('a', 'b', 'c')}),
    'keys of numbers': lambda folder: write_rest(folder, paths={NAME: 3}),
    'a tensor that is not there': lambda folder: write_rest(folder, paths={'other': ('state_dict', 'x')}),
}


@pytest.mark.parametrize('name', RESTS)
def test_what_is_beside_the_tensors(sound, tmp_path, name):
    folder = tmp_path / 'iter_1.dcp'
    shutil.copytree(sound, folder)
    RESTS[name](folder)
    line = last_line(lambda: read_raw(folder))
    assert not MARK.exists(), 'code of the folder ran'
    assert line != FINE and 'iter_1.dcp' in line, line


def test_the_sound_folder_is_read(sound):
    assert torch.equal(read_raw(sound).state['backbone.a'], torch.arange(6.0))
