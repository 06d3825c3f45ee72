"""A small model's weights, its checkpoint in several formats, and a model zoo."""

import pytest
import torch

from mask2former.checkpoints.convert import read_checkpoint
from mask2former.checkpoints.write import write_checkpoint

from .small import METAFILE, SWIN_T, build_small


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


@pytest.fixture(scope='module')
def good(tmp_path_factory):
    """The same weights in several formats."""
    folder = tmp_path_factory.mktemp('good')
    torch.save(dict(state_dict=build_small('swin').state_dict(), meta={}), folder / 'ours.pth')
    checkpoint = read_checkpoint(folder / 'ours.pth')
    write_checkpoint(checkpoint, folder / 'd2.pkl', 'detectron2')
    write_checkpoint(checkpoint, folder / 'mmdet.pth', 'mmdet')
    write_checkpoint(checkpoint, folder / 'hf', 'transformers')
    write_checkpoint(checkpoint, folder / 'ours.safetensors', 'mask2former')
    return folder


@pytest.fixture(scope='module')
def state():
    return build_small('swin').state_dict()


@pytest.fixture(scope='module')
def checkpoint(state, tmp_path_factory):
    path = tmp_path_factory.mktemp('good') / 'good.pth'
    torch.save(dict(state_dict=state), path)
    return read_checkpoint(path)
