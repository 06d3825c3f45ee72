"""Names of published models lead to a config and weights; nothing here touches the network."""

import functools
import hashlib
import http.server
import shutil
import sys
import threading

import pytest
import torch

from mask2former.checkpoints.fetch import find_checkpoint, locate
from mask2former.checkpoints.schemes import PREFIX, loadable, read_any
from mask2former.checkpoints.write import write_checkpoint
from mask2former.checkpoints.zoo import find_config, hub_name, model_zoo, package_root, resolve
from mask2former.errors import CheckpointError

from .small import build_small

SWIN_T = 'configs/coco/panoptic/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py'
METAFILE = f"""
Collections:
  - Name: Mask2Former
Models:
  - Name: mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic
    In Collection: Mask2Former
    Alias: [swin-t-panoptic]
    Config: {SWIN_T}
    Weights: https://example.org/weights/swin-t-12345678.pth
  - Name: untrained
    Config: {SWIN_T}
"""


@pytest.fixture
def root(tmp_path):
    """A model zoo as the repository has one."""
    folder = tmp_path / 'zoo'
    for path in (
        SWIN_T,
        SWIN_T.replace('swin-t-p4-w7-224_8xb2', 'swin-t-p4-w7-224_4xb4-long-name'),
        'configs/ade20k/semantic/mask2former_swin-b-p4-w12-384-in21k_ade20k-semantic.py',
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text('model = dict()\n')
    (folder / 'configs/coco/metafile.yml').write_text(METAFILE)
    (folder / 'model-index.yml').write_text('Import:\n  - configs/coco/metafile.yml\n')
    return folder


def test_names_of_the_model_zoo(root):
    for name in ('mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic', 'swin-t-panoptic'):
        model = resolve(name, root)
        assert model.config == root / SWIN_T and model.weights == 'https://example.org/weights/swin-t-12345678.pth'
        assert find_config(name, root) == root / SWIN_T and locate(name, root) == model.weights
    with pytest.raises(CheckpointError, match="'untrained' has no weights yet"):
        locate('untrained', root)
    with pytest.raises(FileNotFoundError, match="no checkpoint 'swin-t-panoptik'.*Or did you mean .*'swin-t-panoptic'"):
        locate('swin-t-panoptik', root)
    with pytest.raises(FileNotFoundError, match="no config 'swin-t-panoptik'.*'swin-t-panoptic'"):
        find_config('swin-t-panoptik', root)


def test_names_of_the_hub(root):
    name = 'facebook/mask2former-swin-tiny-coco-panoptic'
    model = resolve(name, root)
    assert model.config == root / SWIN_T and model.weights == f'hf://{name}'
    assert find_config('facebook/mask2former-swin-base-IN21k-ade-semantic', root).parent.name == 'semantic'
    assert locate('somebody/their-mask2former', root) == 'hf://somebody/their-mask2former'
    with pytest.raises(CheckpointError, match='There is no config for .*cityscapes.* here'):
        find_config('facebook/mask2former-swin-large-cityscapes-instance', root)
    for wrong in ('a/b.pth', 'a/b/c', 'facebook/..', 'gone.pkl'):
        with pytest.raises(FileNotFoundError, match='no checkpoint'):
            locate(wrong, root)


def test_hub_name_with_an_alias_in_the_zoo(root):
    metafile = root / 'configs/coco/metafile.yml'
    metafile.write_text(METAFILE.replace('[swin-t-panoptic]', '[facebook/mask2former-swin-tiny-coco-panoptic]'))
    assert resolve('facebook/mask2former-swin-tiny-coco-panoptic', root).weights.startswith('https://example.org')


def test_facts_of_the_hub():
    assert hub_name('facebook/mask2former-swin-large-coco-instance') == ('swin-l-p4-w12-384-in21k', 'coco', 'instance')
    assert hub_name('facebook/mask2former-swin-base-ade-semantic') == ('swin-b-p4-w12-384', 'ade20k', 'semantic')
    for wrong in (
        'facebook/mask2former-swin-huge-coco-panoptic',
        'facebook/mask2former-swin-tiny-coco-semantic',
        'other/mask2former-swin-tiny-coco-panoptic',
        'facebook/mask2former-swin-tiny-coco-panoptic-2',
    ):
        assert hub_name(wrong) is None


def test_this_repository_s_own_zoo():
    assert isinstance(model_zoo(), dict)
    config = resolve('facebook/mask2former-swin-tiny-coco-instance').config
    assert config.name.startswith('mask2former_swin-t') and config.stem.endswith('coco-instance')


def test_metafiles_that_are_wrong(root):
    (root / 'configs/coco/metafile.yml').write_text('Models:\n  - Name: a\n')
    with pytest.raises(CheckpointError, match='metafile.yml.* without Name or Config'):
        model_zoo(root)
    (root / 'configs/coco/metafile.yml').write_text('Models: [')
    with pytest.raises(CheckpointError, match='metafile.yml.* is no YAML file'):
        model_zoo(root)
    (root / 'configs/coco/metafile.yml').unlink()
    with pytest.raises(CheckpointError, match='metafile.yml.* is missing'):
        model_zoo(root)


@pytest.fixture(scope='module')
def good(tmp_path_factory):
    """The same weights in several formats."""
    from mask2former.checkpoints.convert import read_checkpoint

    folder = tmp_path_factory.mktemp('good')
    torch.save(dict(state_dict=build_small('swin').state_dict(), meta={}), folder / 'ours.pth')
    checkpoint = read_checkpoint(folder / 'ours.pth')
    write_checkpoint(checkpoint, folder / 'd2.pkl', 'detectron2')
    write_checkpoint(checkpoint, folder / 'mmdet.pth', 'mmdet')
    write_checkpoint(checkpoint, folder / 'hf', 'transformers')
    write_checkpoint(checkpoint, folder / 'ours.safetensors', 'mask2former')
    return folder


def test_what_mmengine_can_load_itself_stays_as_it_is(good):
    assert loadable(str(good / 'ours.pth')) == str(good / 'ours.pth')
    assert loadable(str(good / 'absent.pth')) == str(good / 'absent.pth')
    for name in ('d2.pkl', 'mmdet.pth', 'hf', 'ours.safetensors'):
        assert loadable(str(good / name)) == f'{PREFIX}{good / name}'
        assert loadable(f'{PREFIX}{good / name}') == f'{PREFIX}{good / name}'
    torch.save(torch.load(good / 'mmdet.pth'), good / 'old.pth', _use_new_zipfile_serialization=False)
    assert loadable(str(good / 'old.pth')).startswith(PREFIX)
    (good / 'broken.pth').write_bytes(b'PK')
    assert loadable(str(good / 'broken.pth')) == str(good / 'broken.pth')
    assert loadable('facebook/mask2former-swin-tiny-coco-panoptic').startswith(PREFIX)


@pytest.mark.parametrize('name', ['ours.pth', 'd2.pkl', 'mmdet.pth', 'hf', 'ours.safetensors'])
def test_read_any(good, name):
    from mmengine.runner import CheckpointLoader

    expected = torch.load(good / 'ours.pth')['state_dict']
    for checkpoint in (read_any(good / name), CheckpointLoader.load_checkpoint(f'{PREFIX}{good / name}', 'cpu')):
        assert set(checkpoint['state_dict']) == set(expected) and isinstance(checkpoint['meta'], dict)
        assert all(torch.equal(value, checkpoint['state_dict'][key]) for key, value in expected.items())


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


def test_other_addresses(good, monkeypatch):
    """What mmengine knows besides is left to it."""
    from mmengine.runner import CheckpointLoader

    def load_from_test(filename, map_location=None):
        return torch.load(good / 'mmdet.pth')

    CheckpointLoader.register_scheme('testing://', load_from_test, force=True)
    assert 'head.query_feat.weight' in read_any('testing://x')['state_dict']
    with pytest.raises(CheckpointError, match='no address that is known here'):
        find_checkpoint('ftp://example.org/a.pth')


def test_package_root_has_the_index():
    assert (package_root() / 'model-index.yml').is_file() and (package_root() / 'configs').is_dir()
