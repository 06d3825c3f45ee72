"""Addresses lead to a file on this machine; nothing here touches the network."""

import functools
import hashlib
import http.server
import shutil
import sys
import threading

import pytest
import torch

from mask2former.checkpoints.fetch import find_checkpoint
from mask2former.checkpoints.schemes import read_any
from mask2former.errors import CheckpointError


def test_web(good, tmp_path, monkeypatch, root):
    """Fetched once into torch's cache; the digits of the name are checked by torch."""
    fetched = []
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))

    def fetch(url, path, digest, progress):
        fetched.append((url, digest))
        if 'gone' in url:
            raise OSError('404')
        shutil.copy(good / 'd2.pkl', path)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', fetch)
    for _ in range(2):
        path = find_checkpoint('https://example.org/model_final_94dc52.pkl')
        assert path == tmp_path / 'hub/checkpoints/model_final_94dc52.pkl'
    assert find_checkpoint('swin-t-panoptic', root).name == 'swin-t-12345678.pth'
    assert fetched == [
        ('https://example.org/model_final_94dc52.pkl', None),
        ('https://example.org/weights/swin-t-12345678.pth', '12345678'),
    ]
    assert 'state_dict' in read_any('https://example.org/model_final_94dc52.pkl')
    paths = {find_checkpoint(f'https://example.org/{owner}/model.safetensors') for owner in 'ab'}
    assert len(paths) == 2
    with pytest.raises(CheckpointError, match=r'gone.pth\' cannot be fetched \(404\): check'):
        find_checkpoint('https://example.org/gone.pth')


def test_digits_of_the_name_are_checked(tmp_path, monkeypatch):
    """With torch's own download, from a server on this machine."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    digest = hashlib.sha256(b'12').hexdigest()[:8]
    served = tmp_path / 'served'
    served.mkdir()
    for name in (f'a-{digest}.pth', 'a-00000000.pth'):
        (served / name).write_bytes(b'12')
    server = http.server.ThreadingHTTPServer(
        ('127.0.0.1', 0), functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(served))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f'http://127.0.0.1:{server.server_port}'
        assert find_checkpoint(f'{address}/a-{digest}.pth').read_bytes() == b'12'
        with pytest.raises(CheckpointError, match='cannot be fetched .*hash'):
            find_checkpoint(f'{address}/a-00000000.pth')
        with pytest.raises(CheckpointError, match='cannot be fetched .*404'):
            find_checkpoint(f'{address}/absent.pth')
        assert [path.name for path in (tmp_path / 'hub/checkpoints').iterdir()] == [f'a-{digest}.pth']
    finally:
        server.shutdown()
        server.server_close()


def test_hub(good, monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    asked = []

    def download(name, file):
        asked.append((name, file))
        if name == 'a/gone':
            raise ConnectionError('no network')
        if not (good / 'hf' / file).is_file():
            raise EntryNotFoundError('absent')
        return str(good / 'hf' / file)

    monkeypatch.setattr(huggingface_hub, 'hf_hub_download', download)
    name = 'facebook/mask2former-swin-tiny-coco-panoptic'
    assert find_checkpoint(name) == good / 'hf' and find_checkpoint(f'hf://{name}') == good / 'hf'
    assert asked[0] == (name, 'model.safetensors') and (name, 'config.json') in asked
    with pytest.raises(CheckpointError, match=r"'a/gone' cannot be fetched from the Hugging Face hub \(ConnectionErr"):
        find_checkpoint('a/gone')
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    with pytest.raises(ModuleNotFoundError, match='pip install huggingface_hub'):
        find_checkpoint(name)
