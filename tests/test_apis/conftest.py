"""Fixtures: a tiny trained model, its inferencer, and results."""

import pytest

from mask2former.apis import SegInferencer
from tests.tiny import make_tiny_run


@pytest.fixture(scope='session')
def run(tmp_path_factory):
    return make_tiny_run(tmp_path_factory.mktemp('run'))


@pytest.fixture(scope='session')
def inferencer(run):
    return SegInferencer(run.config, run.checkpoint, device='cpu')


@pytest.fixture(scope='session')
def samples(run, inferencer):
    return list(inferencer(run.images))
