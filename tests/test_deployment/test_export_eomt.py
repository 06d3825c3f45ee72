"""EoMT as a file: its masking is fixed, and its learned positions are those of the file's size."""

import numpy as np
import pytest
import torch

from mask2former.deployment.export import export
from mask2former.deployment.graph import RawGraph, example, exportable
from tests.test_models.test_eomt.small import CLASSES, ISTHING, build_small

pytest.importorskip('onnxruntime')

SIZE = (96, 128)


@pytest.mark.parametrize(
    'kind,probability', [('dinov2', 0.0), ('dinov3', 0.0), ('dinov3', 1.0)], ids=['learned', 'rotated', 'masked']
)
def test_logits_are_the_model_s(kind, probability, tmp_path):
    model = build_small(kind).float()
    model.head.mask_probability.fill_(probability)
    model.dataset_meta = dict(classes=CLASSES, isthing=ISTHING)
    before = model.backbone.positions
    assert export(model, tmp_path / 'model.onnx', 'onnx', SIZE) < 1e-5
    assert model.backbone.positions is before and 'probabilities' not in vars(model.head)


def test_the_exported_form_computes_the_same():
    model = build_small('dinov2').float()
    graph, image = RawGraph(model).eval(), example(SIZE)
    with torch.no_grad():
        expected = graph(image)
        with exportable(model):
            found = graph(image)
    for ours, theirs in zip(found, expected):
        np.testing.assert_array_equal(ours, theirs)
