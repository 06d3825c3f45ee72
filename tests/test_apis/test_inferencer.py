"""The inferencer gives what testing gives, whatever the image comes as, and says what is wrong."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope

from mask2former.apis import SegInferencer, list_images
from mask2former.apis.run_config import build_runner
from mask2former.apis.tta import use_tta
from mask2former.errors import DataError


def assert_equal(sample, other):
    assert torch.equal(sample.pred_panoptic_seg.id_map, other.pred_panoptic_seg.id_map)
    assert sample.pred_panoptic_seg.segments_info == other.pred_panoptic_seg.segments_info
    for key in ('labels', 'scores', 'bboxes'):
        assert torch.equal(sample.pred_instances[key], other.pred_instances[key]), key
    assert sample.pred_instances.masks == other.pred_instances.masks
    assert torch.equal(sample.pred_sem_seg.sem_seg, other.pred_sem_seg.sem_seg)


def results_of_testing(config):
    """The data samples that a test gives, by the paths of their images."""
    tested = {}

    class Collect(Hook):
        def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            tested.update({sample.img_path: sample for sample in outputs})

    runner = build_runner(config)
    runner.register_hook(Collect())
    runner.test()
    assert len(tested) == 4
    return tested


def test_results_are_those_of_testing(run, samples):
    config = Config.fromfile(run.config)
    config.load_from = str(run.checkpoint)
    tested = results_of_testing(config)
    for sample in samples:
        assert_equal(sample, tested[sample.img_path])
        assert len(sample.pred_panoptic_seg.segments_info) > 0 and len(sample.pred_instances) > 0
        assert sample.ori_shape == (64, 96) and sample.img_shape == (80, 120)


# As mmseg's configs have it, annotations are read in each view.
OWN_VIEWS = [
    dict(type='LoadImage'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=scale, keep_ratio=True) for scale in ((120, 120), (90, 90))],
            [dict(type='LoadPanopticGroundTruth')],
            [dict(type='PackSegInputs')],
        ],
    ),
]


@pytest.mark.parametrize('views', [None, OWN_VIEWS], ids=['made', 'own'])
def test_augmented_results_are_those_of_the_tool(run, samples, tmp_path, views):
    """As ``tools/test.py --tta`` changes the config; the inferencer leaves the one it is given as it is."""
    config = Config.fromfile(run.config)
    config.load_from = str(run.checkpoint)
    if views is not None:
        config.merge_from_dict(dict(tta_pipeline=views, tta_model=dict(type='SegTTAModel', min_iou=0.3)))
    before = config.to_dict()
    with DefaultScope.overwrite_default_scope('mmdet'):
        inferencer = SegInferencer(config, run.checkpoint, device='cpu', tta=True)
    found = list(inferencer(run.images))
    assert config.to_dict() == before
    assert inferencer.model.min_iou == (0.5 if views is None else 0.3)
    use_tta(config)
    tested = results_of_testing(config)
    for sample, plain in zip(found, samples, strict=True):
        assert_equal(sample, tested[sample.img_path])
        assert sample.ori_shape == (64, 96) and sample.img_shape == (80, 120)
        assert not torch.equal(sample.pred_instances.scores, plain.pred_instances.scores)


def test_augmented_batches_and_arrays(run, samples):
    inferencer = SegInferencer(run.config, run.checkpoint, device='cpu', tta=True, batch_size=2)
    found = inferencer([cv2.imread(sample.img_path) for sample in samples])
    one_by_one = SegInferencer(run.config, run.checkpoint, device='cpu', tta=True)(run.images)
    for sample, other in zip(found, one_by_one, strict=True):
        torch.testing.assert_close(sample.pred_instances.scores, other.pred_instances.scores, rtol=1e-3, atol=1e-4)
    assert inferencer.visualize(samples[0].img_path, found[0]).ndim == 3


def test_file_array_list_and_folder_agree(run, inferencer, samples):
    paths = list_images(run.images)
    assert [sample.img_path for sample in samples] == paths and len(paths) == 4
    [by_path] = inferencer(paths[1])
    [by_array] = inferencer(cv2.imread(paths[1]))
    mixed = inferencer([Path(paths[0]), inferencer.read_image(paths[1])])
    assert_equal(by_path, samples[1])
    assert_equal(by_array, samples[1])
    assert 'img_path' not in by_array
    assert_equal(mixed[0], samples[0])
    assert_equal(mixed[1], samples[1])


def test_another_library_s_default_scope_does_no_harm(run, samples):
    with DefaultScope.overwrite_default_scope('mmdet'):
        [sample] = SegInferencer(run.config, run.checkpoint, device='cpu')(samples[0].img_path)
    assert_equal(sample, samples[0])


def test_batches(run, samples):
    batched = SegInferencer(run.config, run.checkpoint, device='cpu', batch_size=3)(run.images)
    for sample, other in zip(batched, samples, strict=True):
        assert sample.img_path == other.img_path
        torch.testing.assert_close(sample.pred_instances.scores, other.pred_instances.scores, rtol=1e-3, atol=1e-4)


def types_seen(model) -> set:
    """The types that the head gets from now on."""
    types: set = set()
    model.head.register_forward_pre_hook(lambda module, args: types.add(args[0].dtype))
    return types


def test_mixed_precision(run, inferencer):
    """The network works in bfloat16, and what is made of its outputs is nearly the same."""
    in_bfloat16 = SegInferencer(run.config, run.checkpoint, device='cpu', amp_dtype='bfloat16')
    types = types_seen(in_bfloat16.model)
    for image in sorted(run.images.iterdir()):
        [found], [expected] = in_bfloat16([image]), inferencer([image])
        same = found.pred_sem_seg.sem_seg == expected.pred_sem_seg.sem_seg
        assert same.float().mean() > 0.9 and found.pred_instances.scores.dtype == torch.float32
    assert types == {torch.bfloat16}


def test_a_folder_is_computed_one_by_one(run, inferencer, monkeypatch):
    read = []
    load = inferencer.load
    monkeypatch.setattr(inferencer, 'load', lambda results: read.append(results) or load(results))
    stream = inferencer(run.images)
    assert read == []
    next(stream)
    assert len(read) == 1


def test_files_of_a_folder(tmp_path):
    for name in ('b.PNG', 'a.jpg', 'notes.txt', 'deep.png/c.jpg'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [Path(path).name for path in list_images(tmp_path)] == ['a.jpg', 'b.PNG']
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='has no image'):
        list_images(tmp_path / 'empty')
    with pytest.raises(FileNotFoundError, match='no folder'):
        list_images(tmp_path / 'absent')


def test_score_threshold_is_that_of_json_and_picture(run, samples):
    scores = samples[0].pred_instances.scores
    threshold = scores.median().item()
    inferencer = SegInferencer(run.config, run.checkpoint, device='cpu', score_thr=threshold)
    [sample] = inferencer(samples[0].img_path)
    assert len(sample.pred_instances) == len(scores)
    kept = inferencer.to_json(sample)['instances']
    assert len(kept) == (scores >= threshold).sum() < len(scores)
    picture = inferencer.visualize(samples[0].img_path, sample)
    inferencer.score_thr = 1.0
    assert not np.array_equal(inferencer.visualize(samples[0].img_path, sample), picture)


def test_picture_shows_the_image_in_its_colours(inferencer):
    blue = np.full((64, 96, 3), (255, 0, 0), np.uint8)  # BGR
    [sample] = inferencer(blue)
    picture = inferencer.visualize(blue, sample)  # RGB
    assert picture.dtype == np.uint8 and picture[100, 20].tolist() == [0, 0, 255]


def test_a_model_of_one_task_gives_that_alone(run):
    config = Config.fromfile(run.config)
    config.model.postprocessors.panoptic = config.model.postprocessors.semantic = None
    inferencer = SegInferencer(config, run.checkpoint, device='cpu')
    [sample] = inferencer(np.zeros((40, 50, 3), np.uint8))
    assert set(inferencer.to_json(sample)) == {'image', 'instances'}


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5, 3), np.float32),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((4, 5, 4), np.uint8),
    ],
)
def test_arrays_that_are_no_images(inferencer, image):
    with pytest.raises(ValueError, match=r'\(H, W, 3\) uint8'):
        inferencer(image)


def test_files_that_are_no_images(inferencer, tmp_path):
    with pytest.raises(FileNotFoundError, match="no image '.*absent.jpg'"):
        inferencer(tmp_path / 'absent.jpg')
    (tmp_path / 'torn.jpg').write_bytes(b'torn')
    with pytest.raises(DataError, match='torn.jpg'):
        list(inferencer(tmp_path))


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(score_thr=2), 'score_thr'),
        (dict(batch_size=0), 'batch_size'),
        (dict(amp_dtype='float8'), 'amp_dtype must be one of bfloat16, float16'),
        (dict(amp_dtype='float16', device='cpu'), 'Processors predict in bfloat16, not in float16'),
        (dict(device='gpu'), "no device 'gpu'"),
        (dict(device='cuda:99'), "'cuda:99' was asked for"),
    ],
)
def test_bad_options_name_themselves(run, options, message):
    with pytest.raises(ValueError, match=message):
        SegInferencer(run.config, run.checkpoint, **options)
