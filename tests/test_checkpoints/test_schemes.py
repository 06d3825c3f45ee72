"""What mmengine loads by an address, in any format."""

import subprocess
import sys

import pytest
import torch
from mmengine.runner import CheckpointLoader

from mask2former.checkpoints.fetch import find_checkpoint
from mask2former.checkpoints.read import explain_unreadable
from mask2former.checkpoints.schemes import PREFIX, loadable, read_any
from mask2former.errors import CheckpointError, MissingFileError


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
    expected = torch.load(good / 'ours.pth')['state_dict']
    for checkpoint in (read_any(good / name), CheckpointLoader.load_checkpoint(f'{PREFIX}{good / name}', 'cpu')):
        assert set(checkpoint['state_dict']) == set(expected) and isinstance(checkpoint['meta'], dict)
        assert all(torch.equal(value, checkpoint['state_dict'][key]) for key, value in expected.items())


def test_other_addresses(good, monkeypatch):
    """What mmengine knows besides is left to it."""

    def load_from_test(filename, map_location=None):
        return torch.load(good / 'mmdet.pth')

    CheckpointLoader.register_scheme('testing://', load_from_test, force=True)
    assert 'head.query_feat.weight' in read_any('testing://x')['state_dict']
    with pytest.raises(CheckpointError, match='no address that is known here'):
        find_checkpoint('ftp://example.org/a.pth')


def test_models_alone_know_the_addresses_of_weights():
    code = """
import sys
import mask2former.models
from mmengine.runner import CheckpointLoader
assert 'mask2former.engine' not in sys.modules
print(*(name for name in CheckpointLoader._schemes if 'mask2former' in CheckpointLoader._schemes[name].__module__))
"""
    process = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    known = {'checkpoint://', 'backbone://', 'timm://', 'hf://', 'package://', 'torchvision://'}
    assert set(process.stdout.split()) == known


def test_a_folder_without_weights_is_named(tmp_path):
    address = loadable(str(tmp_path))
    with pytest.raises(MissingFileError, match="The folder '.*' has no model.safetensors and no pytorch_model.bin"):
        with explain_unreadable(address):
            CheckpointLoader.load_checkpoint(address)
