"""Members of the family as files; EfficientNet-Lite0 and EoMT have tests of their own."""

import pytest
import torch

from mask2former.deployment.export import export
from mask2former.deployment.graph import RawGraph, example, exportable
from mask2former.registry import MODELS
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


def test_logits_of_a_resnet_are_the_model_s(tmp_path):
    pytest.importorskip('onnxruntime', reason='the file is run')
    assert export(build(dict(type='FrozenBNResNet', depth=18)), tmp_path / 'model.onnx', 'onnx', SIZE) < 1e-4


def test_swin_leaves_the_batch_open():
    model = build(SWIN)
    graph, image = RawGraph(model).eval(), example(SIZE)
    with torch.no_grad():
        expected = graph(image)
        with exportable(model):
            found = graph(image)
            batch = torch.export.Dim('batch', min=1, max=256)
            torch.export.export(graph, (image,), dynamic_shapes=({0: batch},), strict=False)  # raises where it is not
    for ours, theirs in zip(found, expected):
        torch.testing.assert_close(ours, theirs)
