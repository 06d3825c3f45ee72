"""Results of an exported file are the inferencer's, at the photograph's own size."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from torch import nn

from mask2former.apis.evaluation_parts import build_test_dataset, build_test_evaluator
from mask2former.deployment import command, results_graph
from mask2former.deployment.results_graph import ResultsGraph, bilinear, boxes
from mask2former.deployment.verify import set_results
from mask2former.errors import ConfigError, UserError
from mask2former.formats.rle import decode_mask
from mask2former.models.postprocess import InstanceTopK, PanopticFusion, SemanticInference, plain
from mask2former.predictions import load

SIZE = (64, 96)
ISTHING = (True, True, False, False)
K, Q = len(ISTHING), 20


@pytest.mark.parametrize('size', [(64, 96), (20, 33), (50, 80), (131, 7)])
def test_resizing_is_torch_s(size):
    image = torch.randn(1, 3, 50, 80, dtype=torch.float64)
    expected = nn.functional.interpolate(image, size, mode='bilinear', align_corners=False)
    down, across = (
        bilinear(outer, torch.tensor(float(inner)), torch.tensor(float(outer)), inner).double()
        for inner, outer in zip((50, 80), size)
    )
    torch.testing.assert_close(down @ image @ across.T, expected, atol=1e-4, rtol=0)


def test_boxes_are_tight():
    masks = torch.zeros(3, 10, 20, dtype=torch.bool)
    masks[0, 2:5, 7] = True
    masks[1] = True
    assert boxes(masks).tolist() == [[7, 2, 8, 5], [0, 0, 20, 10], [0, 0, 0, 0]]


class Graph(nn.Module):
    """Stands in for :class:`RawGraph`: logits that do not depend on the image."""

    def __init__(self, seed, sure):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.mean, self.std = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
        self.class_logits = sure * torch.randn(1, Q, K + 1, generator=generator)
        self.class_logits[..., -1] -= sure
        coarse = 4 * torch.randn(1, Q, 4, 6, generator=generator)
        self.mask_logits = nn.functional.interpolate(coarse, (16, 24), mode='bicubic')
        self.mask_logits[0, 3] = -1  # empty

    def forward(self, image):
        assert image.shape == (1, 3, *SIZE)
        return self.class_logits, self.mask_logits


@pytest.mark.parametrize('sure', [0.01, 1.0, 3.0])  # at first no query is sure of anything: there is no segment
@pytest.mark.parametrize('inside_mask', [True, False])
@pytest.mark.parametrize('original', [(50, 70), (201, 300), (64, 96), (33, 10)])
def test_results_are_those_of_the_plain_rules(original, inside_mask, sure, monkeypatch):
    raw = Graph(seed=sum(original), sure=sure)
    monkeypatch.setattr(results_graph, 'RawGraph', lambda model: raw)
    parts = [PanopticFusion(0.3, 0.05, inside_mask), InstanceTopK(30), SemanticInference()]
    model = SimpleNamespace(
        isthing=ISTHING,
        sliding_window=None,
        postprocessors=parts,
        data_preprocessor=SimpleNamespace(padding=torch.zeros(3, 1, 1)),
    )
    graph = ResultsGraph(model, SIZE)
    found = dict(zip(graph.outputs, graph(torch.zeros(*original, 3, dtype=torch.uint8))))

    factor = min(full / side for full, side in zip(SIZE, original))
    inner = tuple(int(side * factor + 0.5) for side in original)
    class_logits, mask_logits = raw.class_logits[0], raw.mask_logits[0]
    logits = plain.full_size_logits(torch.eye(Q), mask_logits, SIZE, inner, original)
    id_map, segments = plain.panoptic_fusion(class_logits, logits, ISTHING, 0.3, 0.05, inside_mask)
    assert (found['panoptic'] == id_map).float().mean() > 0.999
    assert found['segment_labels'].tolist() == [segment['label'] for segment in segments]
    assert found['segment_scores'].tolist() == pytest.approx([segment['score'] for segment in segments])
    assert (len(segments) > 2) == (sure >= 1)
    expected = plain.instance_top_k(class_logits, logits, ISTHING, 30)
    assert found['instance_labels'].tolist() == [label for label, _, _ in expected]
    np.testing.assert_allclose(found['instance_scores'], [score for _, score, _ in expected], atol=1e-4)
    assert (found['instance_masks'] == torch.stack([mask for _, _, mask in expected])).float().mean() > 0.999
    torch.testing.assert_close(found['instance_boxes'], boxes(found['instance_masks']))
    assert (found['semantic'] == plain.semantic_inference(class_logits, logits)).float().mean() > 0.999


def miou_of_a_test(tiny_run):
    """As a test measures it."""
    model = load(tiny_run.config, tiny_run.checkpoint, device='cpu').inferencer.model
    dataset = build_test_dataset(model.cfg)
    evaluator = build_test_evaluator(model.cfg, dataset)
    for index in range(len(dataset)):
        evaluator.process(model.test_step(pseudo_collate([dataset[index]])))
    return evaluator.evaluate(len(dataset))['mIoU']


def test_outputs_of_a_file_become_a_sample():
    rng = np.random.default_rng(0)
    outputs = dict(
        panoptic=rng.integers(0, 3, (5, 7), dtype=np.int32),
        segment_labels=np.array([3, 0]),
        segment_scores=np.array([0.5, 0.25], np.float32),
        instance_masks=rng.random((2, 5, 7)) > 0.5,
        instance_labels=np.array([1, 0]),
        instance_scores=np.array([0.75, 0.5], np.float32),
        instance_boxes=np.array([[0, 1, 2, 3], [4, 3, 7, 5]], np.float32),
        semantic=rng.integers(0, 4, (5, 7), dtype=np.int32),
    )
    sample = DetDataSample()
    set_results(sample, outputs, ISTHING)
    np.testing.assert_array_equal(sample.pred_panoptic_seg.id_map[0], outputs['panoptic'])
    assert sample.pred_panoptic_seg.segments_info == [
        dict(id=1, label=3, isthing=False, score=0.5),
        dict(id=2, label=0, isthing=True, score=0.25),
    ]
    for mask, expected in zip(sample.pred_instances.masks, outputs['instance_masks'], strict=True):
        np.testing.assert_array_equal(decode_mask(mask), expected)
    assert sample.pred_instances.labels.tolist() == [1, 0] and sample.pred_instances.scores.tolist() == [0.75, 0.5]
    np.testing.assert_array_equal(sample.pred_instances.bboxes, outputs['instance_boxes'])
    np.testing.assert_array_equal(sample.pred_sem_seg.sem_seg[0], outputs['semantic'])


def test_scores_that_are_resized_are_refused(tiny_run):
    model = load(tiny_run.config, tiny_run.checkpoint, device='cpu').inferencer.model
    model.postprocessors = [SemanticInference('scores')]
    with pytest.raises(ConfigError, match='The results of SemanticInference are not exported: export the logits'):
        ResultsGraph(model, SIZE)


def test_a_file_gives_results_of_photographs_of_any_size(tiny_run, tmp_path, monkeypatch, capsys):
    onnxruntime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    path = tmp_path / 'results.onnx'
    arguments = [str(tiny_run.config), str(tiny_run.checkpoint), '--size', '64x96', '--out', str(path)]
    monkeypatch.setattr(sys, 'argv', ['export', *arguments, '--results', '--verify', '--tolerance', '100', '--json'])
    command.main()
    said = json.loads(capsys.readouterr().out)
    assert said['map_difference'] < 0.01 and said['images'] == 4
    ours, theirs = said['metrics']['mIoU']
    assert ours == miou_of_a_test(tiny_run) and theirs > 0
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    model = load(tiny_run.config, tiny_run.checkpoint, device='cpu').inferencer.model
    graph = ResultsGraph(model, SIZE).eval()
    assert names == list(graph.outputs) and len(names) == 8
    for shape in ((50, 70), (64, 96), (201, 300), (33, 10)):
        image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        found = dict(zip(names, session.run(None, {'image': image})))
        with torch.no_grad():
            expected = dict(zip(names, graph(torch.from_numpy(image))))
        for name in ('panoptic', 'semantic'):
            assert found[name].shape == shape and (found[name] == expected[name].numpy()).mean() > 0.99
        for name in ('segment_scores', 'instance_scores'):
            np.testing.assert_allclose(found[name], expected[name], atol=1e-3)
        for name in ('segment_labels', 'instance_labels'):
            assert found[name].tolist() == expected[name].tolist()
        assert (found['instance_masks'] == expected['instance_masks'].numpy()).mean() > 0.99
    from mask2former.deployment.mask2former_onnx import Model

    with pytest.raises(ValueError, match='gives results, not logits'):
        Model(path)


@pytest.mark.parametrize('more', [['--precision', 'fp16'], ['--format', 'torch-export']])
def test_results_are_for_onnx_in_float32(tiny_run, monkeypatch, more):
    monkeypatch.setattr(sys, 'argv', ['export', str(tiny_run.config), str(tiny_run.checkpoint), '--results', *more])
    with pytest.raises(UserError, match='--results is for ONNX in fp32'):
        command.main()
