"""EoMT as a file: its masking is fixed, and its learned positions are resized in the graph."""

import numpy as np
import pytest
import torch

from mask2former.deployment.export import export
from mask2former.deployment.graph import RawGraph, example, exportable
from mask2former.deployment.runners import open_file
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
    path = tmp_path / 'model.onnx'
    assert export(model, path, 'onnx', None) < 1e-5
    assert 'fit_positions' not in vars(model.backbone) and 'probabilities' not in vars(model.head)
    run, graph = open_file(path), RawGraph(model).eval()
    for batch_size, size in ((1, (96, 96)), (2, (64, 112)), (1, (240, 128))):  # the first has learned positions
        image = example(size, batch_size)
        with torch.no_grad():
            expected = graph(image)
        for found, logits in zip(run(image.numpy()), expected):
            assert np.abs(found - logits.numpy()).max() <= 2e-5 * logits.abs().max()


def test_the_exported_form_computes_the_same():
    model = build_small('dinov2').float()
    graph, image = RawGraph(model).eval(), example(SIZE)
    with torch.no_grad():
        expected = graph(image)
        with exportable(model):
            found = graph(image)
    for ours, theirs in zip(found, expected):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)
