"""A model for the tests of exported files, and what they share of its export."""

import copy
import weakref

import pytest

from mask2former.deployment import export
from mask2former.predictions import Predictor, load


@pytest.fixture(scope='session')
def tiny_predictor(tiny_run) -> Predictor:
    """Of a model that nobody changes."""
    return load(tiny_run.config, tiny_run.checkpoint, device='cpu', score_thr=0.0)


@pytest.fixture(scope='session', autouse=True)
def _traced_once():
    """The same model is traced and translated once, which takes most of the time, for all the files made of it."""
    trace, translate = export.trace, export.translate
    programs, protos = weakref.WeakKeyDictionary(), weakref.WeakKeyDictionary()

    def traced(model, size):
        known = programs.setdefault(model, {})
        if size not in known:
            known[size] = trace(model, size)
        return known[size]

    def translated(program, outputs=export.OUTPUTS):
        if program not in protos:
            protos[program] = translate(program, outputs)
        return copy.deepcopy(protos[program])  # files in few bits change it

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, 'trace', traced)
        patch.setattr(export, 'translate', translated)
        yield
