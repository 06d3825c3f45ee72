"""Damaged and incomplete files, and those of another model, are refused with one sentence that says what is wrong."""

import collections
import io
import json
import pickle
import random
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from mask2former.checkpoints.convert import read_checkpoint
from mask2former.checkpoints.read import checksum, read_raw
from mask2former.checkpoints.write import write_checkpoint, write_safetensors
from mask2former.errors import CheckpointError

SENTENCE = r"^'[^\n]*' [^\n]*[.]$|^The folder '[^\n]*[.]$|^There is no checkpoint[^\n]*[.]$"


@pytest.fixture(scope='module')
def files(checkpoint, tmp_path_factory):
    """One good file of each kind: name, bytes."""
    folder = tmp_path_factory.mktemp('files')
    for target, name in (
        ('detectron2', 'd.pkl'),
        ('detectron2', 'd.pth'),
        ('mask2former', 'o.safetensors'),
        ('transformers', 'hf'),
    ):
        write_checkpoint(checkpoint, folder / name, target)
    state = torch.load(folder / 'd.pth', weights_only=True)
    torch.save(state, folder / 'legacy.pth', _use_new_zipfile_serialization=False)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def outcome(path: Path, good: dict[str, torch.Tensor]) -> str:
    """What reading a damaged file gives: a clear sentence, or a whole model of the right names and shapes."""
    try:
        read = read_checkpoint(path)
    except (CheckpointError, FileNotFoundError) as error:
        message = str(error)
        assert '\n' not in message and message.endswith('.') and str(path) in message, message
        return 'refused'
    assert {name: (value.shape, value.dtype) for name, value in read.state.items()} == {
        name: (value.shape, value.dtype) for name, value in good.items()
    }
    return 'same' if all(torch.equal(value, good[name]) for name, value in read.state.items()) else 'changed'


@pytest.mark.parametrize('name', ['d.pkl', 'd.pth', 'legacy.pth', 'o.safetensors'])
def test_truncated_and_flipped(files, checkpoint, tmp_path, name):
    data, generator = files[name], random.Random(name)
    path = tmp_path / name
    for share in (0, 0.001, 0.3, 0.7, 0.99, 0.9999):
        path.write_bytes(data[: int(len(data) * share)])
        assert outcome(path, checkpoint.state) == 'refused', share
    counts = collections.Counter()
    structure = [match.start() for match in re.finditer(rb'sem_seg_head|numpy|head\.|archive|PK\x01', data)]
    positions = [min(generator.choice(structure) + generator.randrange(-20, 60), len(data) - 1) for _ in range(100)]
    positions += [generator.randrange(len(data)) for _ in range(20)]
    for position in positions:
        flipped = bytearray(data)
        flipped[position] ^= 1 << generator.randrange(8)
        path.write_bytes(flipped)
        counts[outcome(path, checkpoint.state)] += 1
    assert counts['refused'] > 10, counts
    if name in ('d.pth', 'o.safetensors'):  # their checksums are looked at
        assert counts['changed'] == 0, counts


def test_a_flipped_bit_of_a_weight_is_seen_in_a_zip_file(files, tmp_path):
    data = bytearray(files['d.pth'])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        record = max(archive.infolist(), key=lambda info: info.file_size)
    data[record.header_offset + 200 + record.file_size // 2] ^= 1
    (tmp_path / 'a.pth').write_bytes(data)
    with pytest.raises(CheckpointError, match='is damaged'):
        read_raw(tmp_path / 'a.pth')


def test_a_flipped_bit_of_a_weight_is_seen_in_safetensors_of_ours(files, tmp_path):
    data = bytearray(files['o.safetensors'])
    data[-1000] ^= 1
    (tmp_path / 'a.safetensors').write_bytes(data)
    with pytest.raises(CheckpointError, match='is damaged'):
        read_raw(tmp_path / 'a.safetensors')


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.bool, torch.int64, torch.float64])
def test_checksums_of_every_type(tmp_path, dtype):
    state = {
        'b': torch.ones(3, 4, dtype=dtype).t(),
        'a': torch.zeros((), dtype=dtype),
        'c': torch.zeros(0, dtype=dtype),
    }
    write_safetensors(state, tmp_path / 'a.safetensors', {})
    assert read_raw(tmp_path / 'a.safetensors').state.keys() == state.keys()
    assert checksum(state) == checksum(dict(reversed(state.items()))) != checksum(dict(state, c=state['a']))


def test_a_zip_file_without_checksums_is_read(state, tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(dict(state_dict=state), tmp_path / 'a.pth')
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_raw(tmp_path / 'a.pth').state.keys() == state.keys()


def array_that_says(shape: tuple[int, ...], data: bytes, dtype: str = 'f4') -> bytes:
    """A pickle of an array which says that it has another shape than its numbers have."""

    class Liar:
        def __reduce__(self):
            state = (1, shape, np.dtype(dtype), False, data)
            return np._core.multiarray._reconstruct, (np.ndarray, (0,), b'b'), state

    return pickle.dumps(dict(model={'sem_seg_head.a': Liar()}, __author__='me'), protocol=2)


def huge_safetensors(shape: list[int]) -> bytes:
    header = json.dumps({'head.query_embed.weight': dict(dtype='F32', shape=shape, data_offsets=[0, 16])}).encode()
    return struct.pack('<Q', len(header)) + header + bytes(16)


@pytest.mark.parametrize(
    ('name', 'data'),
    [
        ('a.pkl', array_that_says((10**9, 10**9), bytes(16))),
        ('a.pkl', array_that_says((5,), bytes(16))),
        ('a.pkl', array_that_says((-1, 4), bytes(16))),
        ('a.pkl', array_that_says((2,), bytes(16), 'O')),
        ('a.safetensors', huge_safetensors([10**9, 10**9])),
        ('a.safetensors', huge_safetensors([5])),
        ('a.safetensors', struct.pack('<Q', 1 << 60) + b'{'),
        ('a.pkl', b''),
        ('a.pkl', b'\x80\x04K\x01.'),
        ('a.pth', pickle.dumps([1, 2])),
        ('a.bin', b'<html>not found</html>'),
        ('a.pkl', b'\x8e' + b'\xff' * 8),
    ],
)
def test_shapes_that_are_not_there(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=SENTENCE):
        read_raw(tmp_path / name)


def test_a_tensor_larger_than_its_memory(state, tmp_path):
    large = torch.zeros(1).expand(10**9, 10**9)
    torch.save(dict(state_dict=dict(state, **{'head.query_feat.weight': large})), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r"'head.query_feat.weight' has the shape \(1000000000, 1000000000\)"):
        read_checkpoint(tmp_path / 'a.pth')


QUERY = 'head.query_embed.weight'
TABLE = 'backbone.stages.1.blocks.1.attn.w_msa.relative_position_bias_table'


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        (lambda s: s.pop(QUERY), 'is no checkpoint of a Mask2Former'),
        (lambda s: s.pop('head.norm.weight'), r"lacks 1 of the \d+ weights of .*'head.norm.weight'"),
        (lambda s: s.pop('backbone.patch_embed.projection.weight'), "lacks 'backbone.patch_embed.projection.weight'"),
        (lambda s: s.pop('backbone.stages.3.blocks.0.norm1.bias'), 'lacks 1 of'),
        (
            lambda s: [s.pop(name) for name in list(s) if '.blocks.0.' in name and 'stages.1' in name],
            'stages.1.blocks.0',
        ),
        (lambda s: [s.pop(name) for name in list(s) if 'head.layers.0.' in name], r'numbers \[1\]'),
        (lambda s: s.update({'head.extra': torch.zeros(1)}), "holds 'head.extra'"),
        (lambda s: s.update({'head.norm.weight': torch.zeros(31)}), r'in the shape \(31,\) instead of \(32,\)'),
        (
            lambda s: s.update({'head.norm.weight': torch.zeros(32, dtype=torch.int64)}),
            "holds 'head.norm.weight' as int64",
        ),
        (lambda s: s.update({'head.norm.weight': torch.zeros(32, dtype=torch.bool)}), 'as bool'),
        (lambda s: s.update({'head.norm.weight': dict(a=torch.zeros(32))}), "a dict under the name 'head.norm.weight'"),
        (lambda s: s.update({'head.norm.weight': [1.0]}), 'a list under the name'),
        (lambda s: s.update({'he\nad.norm.weight': torch.zeros(32)}), r"a Tensor under the name 'he\\nad.norm.weight'"),
        (lambda s: s.update({7: torch.zeros(32)}), 'a Tensor under the name 7'),
        (lambda s: s.update({QUERY: torch.zeros(7)}), 'impossible shape'),
        (lambda s: s.update({QUERY: torch.zeros(0, 32)}), 'impossible shape'),
        (lambda s: s.update({QUERY: torch.zeros(7, 32).to_sparse()}), 'holds fewer numbers'),
        (lambda s: s.update({'head.layers.900000000.norm.weight': torch.zeros(1)}), 'lacks some of'),
        (lambda s: s.update({TABLE: torch.zeros(10**6 - 2 * 1000 + 1, 2)}), 'in the shape'),
        (
            lambda s: s.update({TABLE.replace('1.blocks.1', '0.blocks.0'): torch.zeros(999**2, 1)}),
            'windows of 500 tokens',
        ),
    ],
)
def test_what_is_missing_or_wrong_is_named(state, tmp_path, change, sentence):
    state = dict(state)
    change(state)
    torch.save(dict(state_dict=state), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=SENTENCE) as error:
        read_checkpoint(tmp_path / 'a.pth')
    assert re.search(sentence, str(error.value)), error.value


@pytest.mark.parametrize('target', ['detectron2', 'transformers', 'mmdet'])
def test_any_missing_weight_of_another_format_is_named(checkpoint, tmp_path, target):
    """One of its kind at a time, and those that are joined or split."""
    from mask2former.checkpoints.convert import EMPTY_WEIGHT, to_format

    written, _ = to_format(checkpoint, target)
    generator = random.Random(0)
    for name in generator.sample(sorted(written), 30):
        state = {key: value for key, value in written.items() if key != name}
        torch.save(dict(model=state) if target == 'detectron2' else state, tmp_path / 'a.pth')
        needed = name != EMPTY_WEIGHT and 'relative_position_index' not in name and 'swin.layernorm' not in name
        assert outcome(tmp_path / 'a.pth', checkpoint.state) == ('refused' if needed else 'same'), name
        torch.save(dict(state, **{name: torch.zeros(3, 5, 2)}), tmp_path / 'b.pth')
        if needed:
            assert outcome(tmp_path / 'b.pth', checkpoint.state) == 'refused', name


def test_unknown_weights_are_left_out_on_request_only(state, tmp_path):
    torch.save(dict(state_dict=dict(state, **{'head.extra': torch.zeros(1)})), tmp_path / 'a.pth')
    report = read_checkpoint(tmp_path / 'a.pth', ignore_unknown=True).report
    assert report.dropped == {'head.extra': 'the model has no such weight'} and "'head.extra'" in str(report)


def test_folders(tmp_path, state):
    with pytest.raises(FileNotFoundError, match='no model.safetensors and no pytorch_model.bin'):
        read_raw(tmp_path)
    torch.save(state, tmp_path / 'pytorch_model.bin')
    (tmp_path / 'config.json').write_text('{')
    with pytest.raises(CheckpointError, match="config.json' is no JSON file"):
        read_raw(tmp_path)
    (tmp_path / 'config.json').unlink()
    (tmp_path / 'pytorch_model.bin').unlink()
    index = dict(weight_map={'a': '../secret.safetensors'})
    (tmp_path / 'model.safetensors.index.json').write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match='names files outside of its folder'):
        read_raw(tmp_path)
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        read_raw(tmp_path / 'absent.pth')


def test_nested_lists_take_no_longer_than_their_file(checkpoint, tmp_path):
    nested = []
    for _ in range(60):
        nested = [nested, nested]
    path = tmp_path / 'nested.pkl'
    path.write_bytes(pickle.dumps(dict(model=dict(checkpoint.state), rest=nested)))
    assert path.stat().st_size < 1.1 * sum(value.nbytes for value in checkpoint.state.values()) + 100_000
    assert read_raw(path).state.keys() == checkpoint.state.keys()


def test_a_zip_file_that_unpacks_to_much_more_is_refused(tmp_path):
    path = tmp_path / 'bomb.pth'
    torch.save(dict(weight=torch.zeros(1 << 20)), path)
    with (
        zipfile.ZipFile(path) as archive,
        zipfile.ZipFile(tmp_path / 'packed.pth', 'w', zipfile.ZIP_DEFLATED) as packed,
    ):
        for info in archive.infolist():
            packed.writestr(info.filename, archive.read(info))
    with pytest.raises(CheckpointError, match="packed.pth' is no checkpoint or is damaged"):
        read_raw(tmp_path / 'packed.pth')
