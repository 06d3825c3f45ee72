"""Members of the family as files; EfficientNet-Lite0 and EoMT have tests of their own."""

import numpy as np
import pytest
import torch

from mask2former.deployment.export import export
from mask2former.deployment.graph import RawGraph, example, exportable
from mask2former.deployment.runners import open_file
from mask2former.registry import MODELS
from tests.test_models.test_maskformer.small import CLASSES, ISTHING
from tests.test_models.test_maskformer.small import build_small as build_maskformer
from tests.tiny import tiny_config

SIZE = (64, 96)
# The image has 16 x 24 patches, no multiple of the windows: they are padded, and shifted.
SWIN = dict(type='mmdet.SwinTransformer', embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), window_size=7)


def build(backbone):
    torch.manual_seed(0)
    config = tiny_config() | dict(backbone=backbone)
    model = MODELS.build(config).eval()
    model.init_weights()
    model.dataset_meta = config['metainfo']
    return model


def check_sizes(model, path):
    """That a file computes what the model does at sizes and batches that were not traced."""
    assert export(model, path, 'onnx', None) < 1e-4
    run, graph = open_file(path), RawGraph(model).eval()
    for batch_size, size in ((1, (64, 96)), (2, (192, 256)), (1, (256, 128))):
        image = example(size, batch_size)
        with torch.no_grad():
            expected = graph(image)
        for found, logits in zip(run(image.numpy()), expected):
            assert np.abs(found - logits.numpy()).max() <= 2e-5 * logits.abs().max()


def test_logits_of_a_resnet_are_the_model_s(tmp_path):
    pytest.importorskip('onnxruntime', reason='the file is run')
    check_sizes(build(dict(type='FrozenBNResNet', depth=18)), tmp_path / 'model.onnx')


@pytest.mark.slow
def test_logits_of_swin_are_the_model_s(tmp_path):
    pytest.importorskip('onnxruntime', reason='the file is run')
    check_sizes(build(SWIN), tmp_path / 'model.onnx')


@pytest.mark.parametrize('encoder', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_logits_of_maskformer_are_the_model_s(encoder, tmp_path):
    pytest.importorskip('onnxruntime', reason='the file is run')
    model = build_maskformer('resnet', encoder)
    model.dataset_meta = dict(classes=CLASSES, isthing=ISTHING)
    check_sizes(model, tmp_path / 'model.onnx')


@pytest.mark.parametrize('size', [(64, 96), (224, 224), (32, 128)])
def test_the_exported_form_of_swin_computes_the_same(size):
    model = build(SWIN)
    graph, image = RawGraph(model).eval(), example(size)
    with torch.no_grad():
        expected = graph(image)
        with exportable(model):
            found = graph(image)
        again = graph(image)
    for ours, theirs, restored in zip(found, expected, again):
        torch.testing.assert_close(ours, theirs)
        assert (restored == theirs).all()
