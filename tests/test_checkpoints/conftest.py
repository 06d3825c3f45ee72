"""A small model's weights and its checkpoint."""

import pytest
import torch

from mask2former.checkpoints.convert import read_checkpoint

from .small import build_small


@pytest.fixture(scope='module')
def state():
    return build_small('swin').state_dict()


@pytest.fixture(scope='module')
def checkpoint(state, tmp_path_factory):
    path = tmp_path_factory.mktemp('good') / 'good.pth'
    torch.save(dict(state_dict=state), path)
    return read_checkpoint(path)
