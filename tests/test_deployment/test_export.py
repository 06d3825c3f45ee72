"""Exported files compute what the model computes; the runtime makes the inferencer's results of them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from PIL import Image

from mask2former.apis import SegInferencer
from mask2former.deployment import command
from mask2former.deployment.export import export, write_aoti
from mask2former.deployment.graph import RawGraph, bicubic, example
from mask2former.deployment.preparation import describe
from mask2former.deployment.runners import open_file, read_metadata
from mask2former.deployment.verify import Verification, verify
from mask2former.errors import ConfigError, MissingFileError, MissingPackageError, UserError
from mask2former.models.masks import LazyMasks
from mask2former.models.postprocess import PerPixelInference, SemanticInference, plain
from mask2former.registry import TRANSFORMS

pytest.importorskip('onnxruntime')
onnx = pytest.importorskip('onnx')

from mask2former.deployment import mask2former_onnx  # noqa: E402  (needs onnxruntime)

SIZE = (64, 96)


@pytest.fixture(scope='module')
def run(tiny_run):
    return tiny_run


@pytest.fixture(scope='module')
def predictor(tiny_predictor):
    return tiny_predictor


@pytest.fixture(scope='module')
def file(predictor, tmp_path_factory):
    path = tmp_path_factory.mktemp('file') / 'model.onnx'
    assert export(predictor.inferencer.model, path, 'onnx', None) < 1e-4
    return path


SIZES = [(1, (64, 96)), (2, (224, 160)), (1, (32, 256)), (3, (96, 96))]  # none of them was traced


@pytest.mark.parametrize('batch_size,size', SIZES)
def test_logits_are_the_model_s_for_any_batch_and_size(file, predictor, batch_size, size):
    model = predictor.inferencer.model
    image = example(size, batch_size)
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
    assert said == json.loads(json.dumps(describe(predictor.inferencer.model, None)))
    assert said['classes'] == list(predictor.classes) and said['size'] is None
    assert (said['scale'], said['keep_ratio'], said['antialias'], said['divisor']) == ([120, 120], True, False, 32)
    assert said['panoptic'] == dict(score_thr=0.1, overlap_thr=0.1, inside_mask=True)


def test_the_model_is_as_it_was(predictor, file):
    assert {getattr(layer, 'backend', 'auto') for layer in predictor.inferencer.model.modules()} == {'auto'}


def test_the_runtime_s_results_are_the_inferencer_s(file, run, predictor):
    """Images of odd sizes, once as they are, once enlarged."""
    runtime = mask2former_onnx.Model(file)
    whole = [cv2.imread(str(path)) for path in sorted(run.images.glob('*.jpg'))]
    images = [whole[0], whole[1][:50, :70], whole[2][3:, 5:], whole[3][:33, ::2]]
    cfg = Config.fromfile(run.config)
    cfg.test_dataloader.dataset.pipeline = [
        step for step in cfg.test_dataloader.dataset.pipeline if 'Resize' not in step['type']
    ]
    plain = SegInferencer(cfg, run.checkpoint, device='cpu', score_thr=0.0)
    for inferencer, scale in ((predictor.inferencer, [120, 120]), (plain, None)):
        runtime.meta['scale'] = scale
        for image, result in zip(images, runtime.batch([image[..., ::-1] for image in images]), strict=True):
            check_result(result, inferencer(image)[0])


def test_the_runtime_scales_as_the_config_says(file, run, predictor):
    runtime = mask2former_onnx.Model(file)
    image = cv2.imread(str(next(run.images.glob('*.jpg'))))[:60, :91]
    [sample] = predictor.inferencer(image)
    prepared, shape = runtime.prepare(image[..., ::-1])
    assert shape == sample.img_shape == (79, 120) and prepared.shape == (3, 96, 128)
    expected = predictor.inferencer.prepare(image)['inputs'].flip(0)  # (3, h, w) RGB
    np.testing.assert_array_equal(prepared[:, :79, :120], expected)
    assert (runtime(image[..., ::-1]).semantic == sample.pred_sem_seg.sem_seg[0].numpy()).mean() > 0.999


def check_result(result, sample):
    id_map = sample.pred_panoptic_seg.id_map[0].numpy()
    assert result.panoptic.shape == id_map.shape and (result.panoptic == id_map).mean() > 0.999
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
    isthing = [True, True, False, False]
    panoptic = dict(score_thr=0.3, overlap_thr=0.4, inside_mask=inside_mask)
    model = mask2former_onnx.Model.of(dict(classes=list('abcd'), isthing=isthing, panoptic=panoptic))
    generator = torch.Generator().manual_seed(3)
    class_logits, masks = (torch.randn(*shape, generator=generator) * 2 for shape in ((12, 5), (12, 20, 30)))
    expected, infos = plain.panoptic_fusion(class_logits, masks, isthing, 0.3, 0.4, inside_mask)
    scores = class_logits.softmax(-1).numpy()
    found, segments = model._panoptic(scores, lambda queries: masks.numpy()[queries])
    np.testing.assert_array_equal(found, expected)
    other, _ = plain.panoptic_fusion(class_logits, masks, isthing, 0.3, 0.4, not inside_mask)
    assert len(infos) == 2 and (expected != other).any()
    assert [x['label'] for x in segments] == [x['label'] for x in infos]


@pytest.mark.parametrize('shape', [(50, 80), (64, 91), (1, 90), (128, 60)])
@pytest.mark.parametrize('size', [(64, 96), (20, 33), (64, 30), (3, 200)])
def test_resizing_is_opencv_s(shape, size):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    np.testing.assert_array_equal(mask2former_onnx._as_opencv(image, *size), cv2.resize(image, size[::-1]))


def test_masks_are_resized_as_torch_does_it():
    masks = torch.randn(2, 16, 24, generator=torch.Generator().manual_seed(0))
    for size in ((64, 96), (7, 50)):
        expected = torch.nn.functional.interpolate(masks[None], size, mode='bilinear')[0]
        matrices = [mask2former_onnx._bilinear(*pair) for pair in zip((16, 24), size)]
        np.testing.assert_allclose(mask2former_onnx._resized(masks.numpy(), *matrices), expected, atol=1e-5)


def test_pillow_s_reducing_is_pillow_s():
    image = np.random.default_rng(0).integers(0, 256, (50, 80), dtype=np.uint8)
    for height, width in ((20, 33), (64, 96), (20, 96)):
        rows, columns = (mask2former_onnx._bilinear(*pair, True) for pair in ((50, height), (80, width)))
        expected = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        assert np.abs(rows @ image @ columns.T - expected).max() <= 1.01  # Pillow rounds twice


@pytest.mark.parametrize('keep_ratio', [True, False])
@pytest.mark.parametrize('shape', [(256, 320), (520, 696), (1000, 333), (3, 800)])
def test_images_are_scaled_as_resize_scales_them(shape, keep_ratio):
    model = mask2former_onnx.Model.of(dict(size=None, scale=[400, 300], keep_ratio=keep_ratio, divisor=32))
    step = TRANSFORMS.build(dict(type='Resize', scale=(400, 300), keep_ratio=keep_ratio))
    assert model.scaled_size(*shape) == step(dict(img=np.zeros((*shape, 3), np.uint8)))['img'].shape[:2]
    assert model.input_size(65, 64) == (96, 64)


@pytest.mark.parametrize('size', [(6, 9), (3, 4), (13, 11), (1, 30)])
def test_learned_positions_are_resized_as_torch_does_it(size):
    positions = torch.randn(1, 4, 6, 9, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(positions, size, mode='bicubic', antialias=True)
    found = bicubic(6, size[0]) @ positions @ bicubic(9, size[1]).T
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize('resize', ['masks', 'scores', 'logits'])
def test_the_runtime_has_every_semantic_rule(resize):
    """Beside the postprocessors, of an image that was reduced from 50 x 70 to 37 x 52 and padded to 64 x 64."""
    generator = torch.Generator().manual_seed(0)
    Q = K = 4
    class_logits, coarse = (2 * torch.randn(*shape, generator=generator) for shape in ((Q, K + 1), (1, Q, 4, 4)))
    mask_logits = torch.nn.functional.interpolate(3 * coarse, (16, 16), mode='bicubic')[0]
    rule = PerPixelInference() if resize == 'logits' else SemanticInference(resize)
    sample, masks = DetDataSample(), LazyMasks(torch.eye(Q), mask_logits, (64, 64), (37, 52), (50, 70))
    rule(class_logits, masks, (True,) * K, sample)
    model = mask2former_onnx.Model.of(dict(size=[64, 64], panoptic=None, instance=None, semantic=rule.resize))
    result = model.results(class_logits.numpy(), mask_logits.numpy(), (37, 52), (50, 70))
    assert (result.semantic == sample.pred_sem_seg.sem_seg[0].numpy()).mean() > 0.999


def test_the_runtime_leaves_out_instances_of_low_scores(file, run, predictor):
    runtime = mask2former_onnx.Model(file)
    image = cv2.imread(str(next(run.images.glob('*.jpg'))))
    scores = [one['score'] for one in runtime(image).instances]
    runtime.meta['instance']['score_thr'] = threshold = float(np.median(scores))
    kept = [one['score'] for one in runtime(image).instances]
    assert 0 < len(kept) < len(scores) and kept == [score for score in scores if score >= threshold]


def test_verification_finds_equal_metrics(file, predictor):
    done = verify(predictor.inferencer.model, file, None)
    assert done.images == 4 and done.difference < 1e-4 and 'mIoU' in done.metrics and done.at_size is None
    for ours, theirs in done.metrics.values():
        assert ours == pytest.approx(theirs, abs=0.05, nan_ok=True)


def test_verification_compares_a_fixed_size_with_the_model_as_it_is_run(file, predictor):
    """Images of 64 x 96, which a test enlarges to 80 x 120 and pads to 96 x 128, lie in 96 x 96."""
    model = predictor.inferencer.model
    seen = []
    hook = model.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    done = verify(model, file, (96, 96), count=2)
    hook.remove()
    assert seen == [(1, 3, 96, 128), (1, 3, 96, 96)] * 2
    assert done.images == 2 and done.difference < 1e-4
    model_miou, file_miou = done.metrics['mIoU']
    assert model_miou == verify(model, file, None, count=2).metrics['mIoU'][0]
    assert file_miou == pytest.approx(done.at_size['mIoU'], abs=0.05)
    done = Verification(dict(PQ=(50.0, 47.0), mIoU=(60.0, 60.5)), 2, 1e-6, dict(PQ=48.0, mIoU=61.0))
    assert command.sentences(done, (96, 96))[-1] == (
        'The fixed size 96x96 alone costs, in points (negative: gains): PQ 2.00, mIoU -1.00.'
    )
    assert done.lost() == 3


def test_a_file_that_is_worse_is_refused(file, run, tmp_path, monkeypatch, capsys):
    """One whose class logits are those of the wrong queries."""
    path = tmp_path / 'wrong.onnx'
    command_line = ['export', str(run.config), str(run.checkpoint), '--size', '64x96', '--out', str(path)]
    monkeypatch.setattr(sys, 'argv', [*command_line, '--verify', '--tolerance', '0.1', '--json'])
    monkeypatch.setattr('mask2former.deployment.export.export', lambda *args: 0.0)
    metrics = dict(PQ=(50.0, 49.5), mIoU=(60.0, 60.0), SQ=(1.0, 0.0))
    monkeypatch.setattr('mask2former.deployment.verify.verify', lambda *args: Verification(metrics, 4, 0.5))
    with pytest.raises(UserError, match='loses 0.50 points, more than 0.1'):
        command.main()
    said = json.loads(capsys.readouterr().out)
    assert said['metrics']['PQ'] == [50.0, 49.5] and (tmp_path / command.RUNTIME).is_file()


@pytest.mark.parametrize('precision,most', [('fp32', 1e-5), ('fp16', 1e-2)])
def test_openvino_computes_the_logits_for_any_batch_and_size(precision, most, predictor, tmp_path):
    pytest.importorskip('openvino', reason='OpenVINO is optional')
    path, model = tmp_path / 'model.xml', predictor.inferencer.model
    assert export(model, path, 'openvino', None, precision) < most
    assert read_metadata(path) == json.loads(json.dumps(describe(model, None, precision)))
    run = open_file(path)
    for batch_size, size in SIZES:
        image = example(size, batch_size)
        with torch.no_grad():
            expected = RawGraph(model).eval()(image)
        for found, logits in zip(run(image.numpy()), expected):
            assert np.abs(found - logits.numpy()).max() <= most * logits.abs().max()


def test_half_precision_halves_the_file_and_keeps_inputs_and_outputs(predictor, file, tmp_path):
    path = tmp_path / 'half.onnx'
    assert export(predictor.inferencer.model, path, 'onnx', None, 'fp16') < 1e-2
    assert path.stat().st_size < 0.65 * file.stat().st_size
    assert {value.dtype for value in open_file(path)(example(SIZE).numpy())} == {np.dtype('float32')}
    weights = onnx.load(str(path)).graph.initializer
    assert sum(x.data_type == onnx.TensorProto.FLOAT16 for x in weights) > 0.9 * sum(len(x.dims) > 1 for x in weights)


def test_the_file_has_no_paths_of_the_computer_that_wrote_it(file):
    assert str(Path(command.__file__).parents[3]).encode() not in file.read_bytes()


def test_a_program_of_torch(predictor, tmp_path):
    path = tmp_path / 'model.pt2'
    assert export(predictor.inferencer.model, path, 'torch-export', None) < 1e-5


@pytest.mark.slow
def test_a_compiled_program_computes_the_same_at_sizes_that_were_not_traced(predictor, tmp_path):
    pytest.importorskip('torch._inductor')
    if not shutil.which('g++'):
        pytest.skip('needs g++')
    path = tmp_path / 'model.aoti.pt2'
    assert export(predictor.inferencer.model, path, 'aoti', None) < 1e-5
    assert read_metadata(path) == json.loads(json.dumps(describe(predictor.inferencer.model, None, 'fp32')))
    run = open_file(path)
    for batch_size, size in SIZES[::2]:
        image = example(size if min(size) >= 64 else (64, size[1]), batch_size)
        with torch.no_grad():
            expected = RawGraph(predictor.inferencer.model).eval()(image)
        for found, logits in zip(run(image.numpy()), expected):
            assert found.shape == logits.shape
            assert np.abs(found - logits.numpy()).max() <= 1e-5 * logits.abs().max()


def test_a_compiled_program_needs_a_compiler_and_its_ending(predictor, tmp_path, monkeypatch):
    model = predictor.inferencer.model
    with pytest.raises(ConfigError, match=r'must end with .aoti.pt2 for the format aoti'):
        export(model, tmp_path / 'model.pt2', 'aoti', SIZE)
    with pytest.raises(ConfigError, match=r'must end with .pt2 for the format torch-export'):
        export(model, tmp_path / 'model.aoti.pt2', 'torch-export', SIZE)
    with pytest.raises(MissingFileError, match='There is no file'):
        open_file(tmp_path / 'model.aoti.pt2')
    monkeypatch.setattr('shutil.which', lambda name: None)
    with pytest.raises(MissingPackageError, match='install g'):
        write_aoti(None, tmp_path / 'model.aoti.pt2', {})


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
