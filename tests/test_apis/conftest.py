"""Fixtures: a tiny trained model, its inferencer, and results."""

import pytest

from mask2former.apis import SegInferencer


@pytest.fixture(scope='session')
def run(tiny_run):
    return tiny_run


@pytest.fixture(scope='session')
def inferencer(run):
    return SegInferencer(run.config, run.checkpoint, device='cpu')


@pytest.fixture(scope='session')
def samples(run, inferencer):
    return list(inferencer(run.images))
