"""The inferencer gives what testing gives, whatever the image comes as, and says what is wrong."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from pycocotools import mask as coco_mask

from mask2former.apis import SegInferencer, init_model, list_images, sample_to_json, write_id_map
from mask2former.apis.cli import build_runner
from mask2former.apis.tta import use_tta
from mask2former.datasets.metainfo import KEYS
from mask2former.errors import CheckpointError, DataError
from mask2former.formats.panoptic_png import read_id_map
from mask2former.formats.rle import decode_mask
from mask2former.registry import TRANSFORMS
from tests.tiny_run import make_tiny_run


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return make_tiny_run(tmp_path_factory.mktemp('run'))


@pytest.fixture(scope='module')
def inferencer(run):
    return SegInferencer(run.config, run.checkpoint, device='cpu')


@pytest.fixture(scope='module')
def samples(run, inferencer):
    return list(inferencer(run.images))


def assert_equal(sample, other):
    assert torch.equal(sample.pred_panoptic_seg.id_map, other.pred_panoptic_seg.id_map)
    assert sample.pred_panoptic_seg.segments_info == other.pred_panoptic_seg.segments_info
    for key in ('labels', 'scores', 'bboxes'):
        assert torch.equal(sample.pred_instances[key], other.pred_instances[key]), key
    assert sample.pred_instances.masks == other.pred_instances.masks
    assert torch.equal(sample.pred_sem_seg.sem_seg, other.pred_sem_seg.sem_seg)


def change_checkpoint(run, path, change):
    """A copy of the checkpoint after ``change(checkpoint)``."""
    checkpoint = torch.load(run.checkpoint, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, path)
    return path


def without_data(run):
    """The config, with its data set away."""
    config = Config.fromfile(run.config)
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        config[key].dataset.data_root = 'nowhere/'
    return config


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


def test_json_has_what_the_sample_has(inferencer, samples):
    for sample in samples:
        result = json.loads(json.dumps(sample_to_json(sample, inferencer.dataset_meta['classes'])))
        assert result['image'] == dict(path=sample.img_path, height=64, width=96)

        id_map = sample.pred_panoptic_seg.id_map[0].numpy()
        assert len(result['panoptic']) == len(sample.pred_panoptic_seg.segments_info)
        for segment, info in zip(result['panoptic'], sample.pred_panoptic_seg.segments_info):
            assert {key: segment[key] for key in info} == info
            assert segment['name'] == inferencer.dataset_meta['classes'][info['label']]
            assert_mask(segment, id_map == info['id'])

        instances = sample.pred_instances
        assert len(result['instances']) == len(instances)
        for item, index in zip(result['instances'], instances.scores.argsort(descending=True, stable=True)):
            assert item['score'] == instances.scores[index].item() and item['label'] == instances.labels[index].item()
            assert item['bbox'] == instances.bboxes[index].tolist()
            assert_mask(item, decode_mask(instances.masks[index]))

        labels = sample.pred_sem_seg.sem_seg
        assert sum(result['semantic'].values()) == pytest.approx(1)
        for name, share in result['semantic'].items():
            label = inferencer.dataset_meta['classes'].index(name)
            assert share == pytest.approx((labels == label).float().mean().item())


def assert_mask(item, mask):
    assert np.array_equal(coco_mask.decode(item['segmentation']), mask)
    assert item['area'] == mask.sum()
    if mask.any():
        y, x = np.nonzero(mask)
        assert item['bbox'] == [x.min(), y.min(), x.max() + 1, y.max() + 1]


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


def test_id_map_is_cocos(tmp_path, samples):
    write_id_map(samples[0], tmp_path / 'map.png')
    assert np.array_equal(read_id_map(str(tmp_path / 'map.png')), samples[0].pred_panoptic_seg.id_map[0].numpy())
    sample = samples[0].new()
    sample.pred_panoptic_seg.id_map = torch.full((1, 64, 96), 70000, dtype=torch.int32)
    write_id_map(sample, tmp_path / 'large.png')
    assert np.all(read_id_map(str(tmp_path / 'large.png')) == 70000)
    del sample.pred_panoptic_seg
    with pytest.raises(ValueError, match='no panoptic map'):
        write_id_map(sample, tmp_path / 'none.png')


def test_a_model_of_one_task_gives_that_alone(run):
    config = Config.fromfile(run.config)
    config.model.postprocessors.panoptic = config.model.postprocessors.semantic = None
    inferencer = SegInferencer(config, run.checkpoint, device='cpu')
    [sample] = inferencer(np.zeros((40, 50, 3), np.uint8))
    assert set(inferencer.to_json(sample)) == {'image', 'instances'}


def test_classes_come_from_the_checkpoint(run, inferencer):
    """mmengine's hook writes all of the metainfo, and it can be read without running code."""
    model = init_model(without_data(run), run.checkpoint, 'cpu')
    stored = torch.load(run.checkpoint, weights_only=True)['meta']['dataset_meta']
    assert set(stored) == set(KEYS) and model.dataset_meta == stored == inferencer.dataset_meta
    assert not model.training and model.classes == stored['classes'] and model.isthing == stored['isthing']
    assert all(torch.equal(value, inferencer.model.state_dict()[key]) for key, value in model.state_dict().items())


def test_classes_come_from_the_config_else(run, inferencer, tmp_path):
    bare = change_checkpoint(run, tmp_path / 'bare.pth', lambda c: c.pop('meta'))
    assert init_model(run.config, bare, 'cpu').dataset_meta == inferencer.dataset_meta
    assert init_model(run.config, device='cpu').dataset_meta == inferencer.dataset_meta
    with pytest.raises(ValueError, match="bare.pth' does not say them.*nowhere"):
        init_model(without_data(run), bare)
    with pytest.raises(ValueError, match='there is no checkpoint'):
        init_model(without_data(run))


def test_checkpoint_of_other_classes_is_refused(run, tmp_path):
    other = change_checkpoint(
        run, tmp_path / 'other.pth', lambda c: c['meta'].update(dataset_meta=dict(classes=('a', 'b'), isthing=(1, 0)))
    )
    with pytest.raises(ValueError, match="other.pth' has 2 classes, but the data set of the config .* has 9"):
        init_model(run.config, other)


def test_checkpoint_that_does_not_fit_is_refused(run, tmp_path):
    config = Config.fromfile(run.config)
    config.model.head.num_layers = 2
    with pytest.raises(ValueError, match='does not fit the model: .*head.* is absent'):
        init_model(config, run.checkpoint)
    config.model.head.num_layers = 1
    config.model.head.num_queries = 7
    with pytest.raises(ValueError, match=r'the shape \(10, 32\) instead of \(7, 32\)'):
        init_model(config, run.checkpoint)
    more = change_checkpoint(run, tmp_path / 'more.pth', lambda c: c['state_dict'].update(extra=torch.zeros(1)))
    with pytest.raises(ValueError, match="such as 'extra'"):
        init_model(run.config, more)


def test_weights_of_a_wrapped_model_are_read(run, tmp_path):

    def wrap(checkpoint):
        checkpoint['state_dict'] = {f'module.{key}': value for key, value in checkpoint['state_dict'].items()}

    init_model(run.config, change_checkpoint(run, tmp_path / 'wrapped.pth', wrap))


def test_files_that_are_no_checkpoints(run, tmp_path):
    torch.save(dict(state_dict=dict(a=Config())), tmp_path / 'code.pth')
    whole = run.checkpoint.read_bytes()
    (tmp_path / 'torn.pth').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'text.pth').write_text('not a checkpoint')
    for name, said in (('code', 'could run code'), ('torn', 'is damaged'), ('text', 'is no checkpoint')):
        with pytest.raises(CheckpointError, match=f"{name}.pth' .*{said}"):
            init_model(run.config, tmp_path / f'{name}.pth')
    torch.save(dict(epoch=1), tmp_path / 'empty.pth')
    with pytest.raises(ValueError, match='holds no weights'):
        init_model(run.config, tmp_path / 'empty.pth')
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        init_model(run.config, tmp_path / 'absent.pth')
    with pytest.raises(FileNotFoundError, match='no config'):
        init_model(tmp_path / 'absent.py')


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
        (dict(device='gpu'), "no device 'gpu'"),
        (dict(device='cuda:99'), "'cuda:99' was asked for"),
    ],
)
def test_bad_options_name_themselves(run, options, message):
    with pytest.raises(ValueError, match=message):
        SegInferencer(run.config, run.checkpoint, **options)


def test_pipelines(run, inferencer):
    """A transform that says that it reads annotations is left out; one without an image is refused."""

    @TRANSFORMS.register_module(name='ReadsOwnAnnotations', force=True)
    class ReadsOwnAnnotations(BaseTransform):
        reads_annotations = True

        def transform(self, results):
            raise AssertionError

    config = Config.fromfile(run.config)
    config.test_dataloader.dataset.pipeline.insert(1, dict(type='ReadsOwnAnnotations'))
    names = [type(transform).__name__ for transform in SegInferencer(config, run.checkpoint).transforms]
    assert names == ['Resize', 'PackSegInputs']

    config.test_dataloader.dataset.pipeline = [dict(type='PackSegInputs')]
    with pytest.raises(ValueError, match='begins with PackSegInputs'):
        SegInferencer(config, run.checkpoint)
    config.pop('test_dataloader')
    with pytest.raises(ValueError, match='no test_dataloader'):
        SegInferencer(config, run.checkpoint)
    with pytest.raises(ValueError, match="^Test-time augmentation: the config's test_dataloader has no dataset"):
        SegInferencer(config, run.checkpoint, tta=True)
