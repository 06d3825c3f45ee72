"""Files in the place of a checkpoint, for each way to read one; and what an interrupted training may leave behind."""

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from mask2former.apis import init_model
from mask2former.checkpoints.backbones import read_backbone
from mask2former.checkpoints.read import read_raw
from mask2former.engine.failures import read_failure
from mask2former.engine.find_resumable import find_resumable
from mask2former.evaluation.results_file import read_results

from .kit import FINE, last_line


class Call:
    """Unpickled, it calls a function."""

    def __init__(self, function, *arguments) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def torch_file(content, **options) -> bytes:
    out = io.BytesIO()
    torch.save(content, out, **options)
    return out.getvalue()


SOUND = torch_file(dict(state_dict={'backbone.a': torch.ones(3)}))
MARK = Path(os.environ.get('TMPDIR', '/tmp')) / f'attacked-{os.getpid()}'  # an attack that works makes it
EVIL = Call(os.system, f'touch {MARK}')
TO_MEMORY = Call(np.ndarray, (1,), np.dtype('O'), struct.pack('<q', 0x41414141))  # numpy would follow the address


def nested(depth: int) -> bytes:
    """Lists that double at each level: a few bytes that a careless reader takes for ever to walk through."""
    value: list = []
    for _ in range(depth):
        value = [value, value]
    return pickle.dumps(dict(model=value), protocol=2)


def bomb() -> bytes:
    """A zip file of a few KB whose weights unpack to 300 MB."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as file, zipfile.ZipFile(io.BytesIO(SOUND)) as sound:
        for info in sound.infolist():
            file.writestr(info.filename, bytes(300 << 20) if info.filename.endswith('/data/0') else sound.read(info))
    return out.getvalue()


FILES = {
    'empty': b'',
    'one byte': b'\x80',
    'text': b'weights',
    'page': b'<html>404</html>',
    'zeros': bytes(4096),
    'noise': np.random.default_rng(0).bytes(4096),
    'half': SOUND[: len(SOUND) // 2],
    'without its end': SOUND[:-30],
    'end alone': SOUND[-60:],
    'a list': torch_file([1, 2]),
    'a tensor': torch_file(torch.ones(2)),
    'no weights': torch_file({}),
    'null': torch_file(None),
    'weights of text': torch_file(dict(state_dict='x')),
    'weights of numbers': torch_file(dict(state_dict={'backbone.a': 3})),
    'names of numbers': torch_file(dict(state_dict={3: torch.ones(2)})),
    'code, zip': torch_file(dict(state_dict=EVIL)),
    'code, legacy': torch_file(dict(state_dict=EVIL), _use_new_zipfile_serialization=False),
    'code, pickle': pickle.dumps(dict(model=EVIL), protocol=2),
    'code, protocol 4': pickle.dumps(dict(model=EVIL), protocol=4),
    'code in meta': torch_file(dict(state_dict={'backbone.a': torch.ones(3)}, meta=dict(x=EVIL))),
    'an address': torch_file(dict(state_dict=TO_MEMORY)),
    'an address, pickle': pickle.dumps(dict(model=TO_MEMORY), protocol=2),
    'doubling': nested(60),
    'deep': b'\x80\x02' + b'(' * 100_000 + b't' * 100_000 + b'.',
    'zip bomb': bomb(),
    'safetensors of a huge header': struct.pack('<Q', 2**62) + b'{}',
    'safetensors of no header': struct.pack('<Q', 2) + b'{}',
}  # fmt: skip
READERS = dict(
    weights=lambda path, config: read_raw(path).state,
    model=lambda path, config: init_model(config, path, 'cpu'),
    backbone=lambda path, config: read_backbone(path),
    failure=lambda path, config: read_failure(path),
    results=lambda path, config: read_results(path),
)


@pytest.fixture(scope='module')
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('files')
    for name, content in FILES.items():
        (folder / f'{name}.pth').write_bytes(content)
        (folder / f'{name}.safetensors').write_bytes(content)
    return folder


@pytest.mark.parametrize('reader', READERS)
@pytest.mark.parametrize('name', FILES)
def test_no_checkpoint(files, tiny_run, name, reader):
    suffix = 'safetensors' if name.startswith('safetensors') else 'pth'
    path = files / f'{name}.{suffix}'
    line = last_line(lambda: READERS[reader](path, tiny_run.config))
    assert not MARK.exists(), 'code of the file ran'
    assert line != FINE and name in line, line


NOTES = {
    'empty': b'',
    'garbage': b'\xff\xfe\0',
    'a name that is gone': b'/gone/iter_99.pth',
    'a name of another file': b'/etc/passwd',
    'two lines': b'iter_2.pth\niter_1.pth',
    '10,000 letters': b'x' * 10_000,
    'folder': None,
    'absent': None,
}


@pytest.mark.parametrize('damage', ['none', 'newest cut', 'newest empty', 'newest a page'])
@pytest.mark.parametrize('note', NOTES)
def test_what_an_interrupted_training_left(tmp_path, note, damage):
    """The newest whole checkpoint is found, whatever ``last_checkpoint`` is."""
    for number in (1, 2):
        (tmp_path / f'iter_{number}.pth').write_bytes(SOUND)
    if damage != 'none':
        (tmp_path / 'iter_2.pth').write_bytes({'cut': SOUND[:-40], 'empty': b'', 'page': b'<html>'}[damage.split()[-1]])
    if note == 'folder':
        (tmp_path / 'last_checkpoint').mkdir()
    elif note != 'absent':
        (tmp_path / 'last_checkpoint').write_bytes(NOTES[note])
    found: list = []
    assert last_line(lambda: found.append(find_resumable(tmp_path))) == FINE
    assert found == [str(tmp_path / ('iter_2.pth' if damage == 'none' else 'iter_1.pth'))]
