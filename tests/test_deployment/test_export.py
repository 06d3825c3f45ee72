"""Exported files compute what the model computes; the runtime makes the inferencer's results of them."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mask2former.apis import SegInferencer
from mask2former.deployment import command
from mask2former.deployment.export import describe, export
from mask2former.deployment.graph import RawGraph, example
from mask2former.deployment.runners import open_file, read_metadata
from mask2former.deployment.verify import Verification, verify
from mask2former.errors import ConfigError, UserError
from mask2former.models.postprocess import plain
from mask2former.predictions import load

pytest.importorskip('onnxruntime')
onnx = pytest.importorskip('onnx')

from mask2former.deployment import mask2former_onnx  # noqa: E402  (needs onnxruntime)

SIZE = (64, 96)


@pytest.fixture(scope='module')
def run(tiny_run):
    return tiny_run


@pytest.fixture(scope='module')
def predictor(run):
    return load(run.config, run.checkpoint, device='cpu', score_thr=0.0)


@pytest.fixture(scope='module')
def file(predictor, tmp_path_factory):
    path = tmp_path_factory.mktemp('file') / 'model.onnx'
    assert export(predictor.inferencer.model, path, 'onnx', SIZE) < 1e-4
    return path


@pytest.mark.parametrize('batch_size', [1, 3])
def test_logits_are_the_model_s_for_any_batch(file, predictor, batch_size):
    model = predictor.inferencer.model
    image = example(SIZE, batch_size)
    with torch.no_grad():
        normalised = (image - model.data_preprocessor.mean) / model.data_preprocessor.std
        expected = model(normalised, mode='tensor')
    for found, logits in zip(open_file(file)(image.numpy()), expected):
        assert found.shape == logits.shape and found.shape[0] == batch_size
        assert np.abs(found - logits.numpy()).max() <= 1e-5 * logits.abs().max()


def test_there_is_no_grid_sample_and_the_file_says_what_it_is(file, predictor):
    model = onnx.load(str(file))
    operators = {node.op_type for node in model.graph.node}
    operators |= {node.op_type for function in model.functions for node in function.node}
    assert 'GridSample' not in operators and 'Gather' in operators
    [said] = [json.loads(entry.value) for entry in model.metadata_props if entry.key == 'mask2former']
    assert said == json.loads(json.dumps(describe(predictor.inferencer.model, SIZE)))
    assert said['classes'] == list(predictor.classes) and said['size'] == [64, 96]
    assert said['panoptic'] == dict(score_thr=0.1, overlap_thr=0.1, inside_mask=True)


def test_the_model_is_as_it_was(predictor, file):
    assert {getattr(layer, 'backend', 'auto') for layer in predictor.inferencer.model.modules()} == {'auto'}


def test_the_runtime_s_results_are_the_inferencer_s(file, run, predictor):
    """Images that fit into the file's size as they are: else numpy's resizing and OpenCV's differ by a grey value."""
    runtime = mask2former_onnx.Model(file)
    paths = sorted(run.images.glob('*.jpg'))
    images = [cv2.imread(str(path)) for path in paths]
    assert all(image.shape == (64, 96, 3) for image in images)
    cfg = Config.fromfile(run.config)
    cfg.test_dataloader.dataset.pipeline = [
        step for step in cfg.test_dataloader.dataset.pipeline if 'Resize' not in step['type']
    ]
    plain = SegInferencer(cfg, run.checkpoint, device='cpu', score_thr=0.0)
    for image, result in zip(images, runtime.batch([image[..., ::-1] for image in images])):
        [sample] = plain(image)
        id_map = sample.pred_panoptic_seg.id_map[0].numpy()
        assert (result.panoptic == id_map).mean() > 0.999
        infos = sample.pred_panoptic_seg.segments_info
        assert [(x['id'], x['label']) for x in result.segments] == [(x['id'], x['label']) for x in infos]
        np.testing.assert_allclose([x['score'] for x in result.segments], [x['score'] for x in infos], atol=1e-5)
        assert (result.semantic == sample.pred_sem_seg.sem_seg[0].numpy()).mean() > 0.999
        scores = np.sort(sample.pred_instances.scores.numpy())[::-1]
        np.testing.assert_allclose([x['score'] for x in result.instances], scores, atol=1e-4)
        best = result.instances[0]
        index = int(sample.pred_instances.scores.argmax())
        left, top, right, bottom = sample.pred_instances.bboxes[index].tolist()
        assert best['label'] == int(sample.pred_instances.labels[index])
        np.testing.assert_allclose(best['box'], (left, top, right - left, bottom - top), atol=1)


@pytest.mark.parametrize('inside_mask', [True, False])
def test_the_runtime_s_panoptic_rule_is_the_published_one(inside_mask):
    model = object.__new__(mask2former_onnx.Model)  # without a file: the rule alone
    isthing = [True, True, False, False]
    model.meta = dict(classes=list('abcd'), isthing=isthing)
    model.meta['panoptic'] = dict(score_thr=0.3, overlap_thr=0.4, inside_mask=inside_mask)
    generator = torch.Generator().manual_seed(3)
    class_logits, masks = (torch.randn(*shape, generator=generator) * 2 for shape in ((12, 5), (12, 20, 30)))
    expected, infos = plain.panoptic_fusion(class_logits, masks, isthing, 0.3, 0.4, inside_mask)
    scores = class_logits.softmax(-1).numpy()
    found, segments = model._panoptic(scores, lambda queries: masks.numpy()[queries])
    np.testing.assert_array_equal(found, expected)
    other, _ = plain.panoptic_fusion(class_logits, masks, isthing, 0.3, 0.4, not inside_mask)
    assert len(infos) == 2 and (expected != other).any()
    assert [x['label'] for x in segments] == [x['label'] for x in infos]


def test_resizing_is_opencv_s():
    image = np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)
    for height, width in ((64, 96), (20, 33)):
        rows, columns = mask2former_onnx._bilinear(50, height), mask2former_onnx._bilinear(80, width)
        resized = np.einsum('ha,abc,wb->hwc', rows, image.astype(np.float32), columns)
        assert np.abs(resized - cv2.resize(image.astype(np.float32), (width, height))).max() < 1e-2


def test_verification_finds_equal_metrics(file, predictor):
    done = verify(predictor.inferencer.model, file, SIZE)
    assert done.images == 4 and done.difference < 1e-4 and 'mIoU' in done.metrics
    for ours, theirs in done.metrics.values():
        assert ours == pytest.approx(theirs, abs=0.05, nan_ok=True)


def test_a_file_that_is_worse_is_refused(file, run, tmp_path, monkeypatch, capsys):
    """One whose class logits are those of the wrong queries."""
    path = tmp_path / 'wrong.onnx'
    command_line = ['export', str(run.config), str(run.checkpoint), '--size', '64x96', '--out', str(path)]
    monkeypatch.setattr(sys, 'argv', [*command_line, '--verify', '--tolerance', '0.1', '--json'])
    monkeypatch.setattr(command, 'export', lambda *args: 0.0)
    metrics = dict(PQ=(50.0, 49.5), mIoU=(60.0, 60.0), SQ=(1.0, 0.0))
    monkeypatch.setattr(command, 'verify', lambda *args: Verification(metrics, 0.5, 4))
    with pytest.raises(UserError, match='loses 0.50 points, more than 0.1'):
        command.main()
    said = json.loads(capsys.readouterr().out)
    assert said['metrics']['PQ'] == [50.0, 49.5] and (tmp_path / command.RUNTIME).is_file()


@pytest.mark.parametrize('precision,most', [('fp32', 1e-5), ('fp16', 1e-2)])
def test_openvino_computes_the_logits_for_any_batch(precision, most, predictor, tmp_path):
    pytest.importorskip('openvino', reason='OpenVINO is optional')
    path, model = tmp_path / 'model.xml', predictor.inferencer.model
    assert export(model, path, 'openvino', SIZE, precision) < most
    assert read_metadata(path) == json.loads(json.dumps(describe(model, SIZE, precision)))
    _, mask_logits = open_file(path)(example(SIZE, 3).numpy())
    assert len(mask_logits) == 3


def test_half_precision_halves_the_file_and_keeps_inputs_and_outputs(predictor, file, tmp_path):
    path = tmp_path / 'half.onnx'
    assert export(predictor.inferencer.model, path, 'onnx', SIZE, 'fp16') < 1e-2
    assert path.stat().st_size < 0.65 * file.stat().st_size
    assert {value.dtype for value in open_file(path)(example(SIZE).numpy())} == {np.dtype('float32')}
    weights = onnx.load(str(path)).graph.initializer
    assert sum(x.data_type == onnx.TensorProto.FLOAT16 for x in weights) > 0.9 * sum(len(x.dims) > 1 for x in weights)


def test_the_file_has_no_paths_of_the_computer_that_wrote_it(file):
    assert str(Path(command.__file__).parents[3]).encode() not in file.read_bytes()


def test_a_program_of_torch(predictor, tmp_path):
    path = tmp_path / 'model.pt2'
    assert export(predictor.inferencer.model, path, 'torch-export', SIZE) < 1e-5


def test_impossible_sizes_and_files(predictor, tmp_path):
    with pytest.raises(ConfigError, match='has the precisions fp32, not fp16'):
        export(predictor.inferencer.model, tmp_path / 'x.pt2', 'torch-export', SIZE, 'fp16')
    with pytest.raises(ConfigError, match='multiples of 32'):
        export(predictor.inferencer.model, tmp_path / 'x.onnx', 'onnx', (64, 100))
    with pytest.raises(ConfigError, match=r'must end with .onnx or .xml or .pt2'):
        open_file(tmp_path / 'model.bin')
    with pytest.raises(ConfigError, match='this one is a Linear'):
        RawGraph(torch.nn.Linear(1, 1))


def test_the_runtime_needs_neither_torch_nor_this_package(file):
    code = (
        f'import sys; sys.path.insert(0, {str(Path(command.__file__).parent)!r}); import numpy as np\n'
        'import mask2former_onnx\n'
        f'result = mask2former_onnx.Model({str(file)!r})(np.zeros((30, 50, 3), np.uint8))\n'
        "assert result.panoptic.shape == result.semantic.shape == (30, 50) and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, '-c', code], check=True)
