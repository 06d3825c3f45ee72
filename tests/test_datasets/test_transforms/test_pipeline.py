"""Whole pipelines with mmcv's and mmdet's transforms between ours."""

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from torch.utils.data import DataLoader

from mask2former.datasets.transforms import PackSegInputs
from mask2former.errors import ConfigError
from mask2former.models.data_preprocessor import form_masks
from mask2former.registry import DATASETS, TRANSFORMS

AUGMENTATION = [
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomResize', scale=(64, 64), ratio_range=(0.1, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(64, 64)),
]


def segments_of(packed: dict) -> InstanceData:
    """The packed segments with the masks that the data preprocessor forms."""
    sample = packed['data_samples'].clone()
    form_masks(sample)
    return sample.gt_segments


@pytest.mark.parametrize(
    'shape, dtype', [((48, 60), np.uint8), ((48, 60), np.uint16), ((48, 60, 2), np.uint8), ((48, 60, 7), np.uint16)]
)
@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('min_area', [1, 0])
def test_augmenting_the_map_equals_augmenting_the_masks(shape, dtype, seed, min_area):
    num = 300 if dtype == np.uint16 else 20
    coarse = np.random.default_rng(seed).integers(0, num + 1, (12, 15, *shape[2:]))
    seg_map = np.ascontiguousarray(coarse.repeat(4, 0).repeat(4, 1)).astype(dtype)
    if len(shape) == 3:  # a segment lies in one layer only
        seg_map = np.where(seg_map % shape[2] == np.arange(shape[2]), seg_map, 0).astype(dtype)
    image = np.random.default_rng(seed).integers(0, 255, (*shape[:2], 3), dtype=np.uint8)
    augment = Compose(AUGMENTATION)

    def run(gt_seg_map: np.ndarray) -> dict:
        np.random.seed(seed)
        return augment(dict(img=image, img_path='a', ori_shape=shape[:2], gt_seg_map=gt_seg_map))

    results = run(seg_map)
    assert results['gt_seg_map'].dtype == dtype and results['gt_seg_map'].shape[:2] == results['img'].shape[:2]
    results['gt_seg_labels'] = np.arange(num)
    segments = segments_of(PackSegInputs(min_area=min_area).transform(results))
    kept = set(segments.labels.tolist())
    assert kept and (min_area or segments.labels.tolist() == list(range(num)))
    for segment in range(0, num, 1 if num < 50 else 23):
        one = seg_map == segment + 1
        one = run((one.any(-1) if one.ndim == 3 else one).astype(np.uint8))['gt_seg_map'].astype(bool)
        assert (one.sum() >= min_area) == (segment in kept)
        if segment in kept:
            mask = segments.masks[segments.labels == segment]
            assert (mask[0].numpy() == one).all()


@pytest.mark.parametrize('size', [(20, 30), (61, 97), (33, 50), (128, 192)])
def test_resize_takes_the_nearest_of_pixel_centres(size):
    """As Pillow does; OpenCV's nearest neighbour, and so mmdet's, takes that of the pixels' corners."""
    seg_map = np.random.default_rng(0).integers(0, 255, (40, 60), dtype=np.uint8)
    resize = TRANSFORMS.build(dict(type='Resize', scale=size[::-1], keep_ratio=False))
    ours = resize.transform(dict(img=np.zeros((40, 60, 3), np.uint8), gt_seg_map=seg_map))['gt_seg_map']
    centres = [np.array((np.arange(n) + 0.5) * m / n) for n, m in zip(size, (40, 60))]
    # A centre on the border of two pixels may go to either.
    sure = np.ix_(*(c != c.round() for c in centres))
    expected = seg_map[np.ix_(*(c.astype(int) for c in centres))]
    assert ours.shape == size and np.array_equal(ours[sure], expected[sure])
    theirs = TRANSFORMS.build(dict(type='mmdet.Resize', scale=size[::-1], keep_ratio=False)).transform(
        dict(img=np.zeros((40, 60, 3), np.uint8), gt_seg_map=seg_map)
    )['gt_seg_map']
    assert (theirs != ours).mean() > 0.2


def test_pack():
    seg_map = np.zeros((6, 8), np.uint8)
    seg_map[0, :3], seg_map[1, 0], seg_map[5] = 1, 3, 255  # 255: padding
    image = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    results = dict(
        img=image[:, ::-1],
        gt_seg_map=seg_map,
        gt_seg_labels=np.array([4, 5, 6]),
        img_id=3,
        ori_shape=np.array([6, 8, 3]),
        flip=True,
    )
    packed = TRANSFORMS.build(dict(type='PackSegInputs')).transform(results)
    assert packed['inputs'].dtype == torch.uint8 and packed['inputs'].is_contiguous()
    assert (packed['inputs'].numpy() == image[:, ::-1].transpose(2, 0, 1)).all()
    sample = packed['data_samples']
    assert sample.gt_segments.labels.tolist() == [4, 6] and sample.gt_segments.labels.dtype == torch.int64
    assert sample.gt_segments.ids.tolist() == [1, 3] and sample.gt_seg_map.id_map.shape == (1, 6, 8)
    assert sample.gt_segments.ids.dtype == sample.gt_seg_map.id_map.dtype == torch.uint8
    masks = segments_of(packed).masks
    assert masks.dtype == torch.bool and masks.sum((1, 2)).tolist() == [3, 1]
    assert sample.metainfo == dict(img_id=3, ori_shape=(6, 8), img_shape=(6, 8), flip=True)
    large = PackSegInputs(min_area=2).transform(results)['data_samples'].gt_segments
    assert large.labels.tolist() == [4]
    every = segments_of(PackSegInputs(min_area=0).transform(results))
    assert every.labels.tolist() == [4, 5, 6]
    assert every.masks.sum((1, 2)).tolist() == [3, 0, 1], 'a segment without a pixel is an empty mask'
    with pytest.raises(ConfigError, match='min_area is -1'):
        PackSegInputs(min_area=-1)
    floats = PackSegInputs(meta_keys=()).transform(dict(img=np.array([[[-3.0, 99.6, 300.0]]], np.float32)))
    assert floats['inputs'].ravel().tolist() == [0, 100, 255] and floats['data_samples'].metainfo == {}


def test_training_pipeline_in_worker_processes(two_images):
    pipeline = [
        dict(type='LoadImage'),
        dict(type='LoadPanopticSegments'),
        *AUGMENTATION,
        dict(type='SSDColorAugmentation'),
        dict(type='PackSegInputs'),
    ]
    dataset = DATASETS.build({**two_images.write(), 'pipeline': pipeline})
    loader = DataLoader(dataset, batch_size=2, num_workers=2, collate_fn=pseudo_collate)
    batches = list(loader)
    assert len(batches) == 1
    inputs, samples = batches[0]['inputs'], batches[0]['data_samples']
    for image, sample in zip(inputs, samples):
        assert image.dtype == torch.uint8 and image.shape[1:] == sample.img_shape == sample.gt_seg_map.shape
        assert sample.ori_shape == (24, 32) and sample.img_id in (10, 11)
    assert len(samples[1].gt_segments) == 0


def test_error_in_a_worker_process_keeps_its_message(two_images):
    cfg = {**two_images.write(), 'pipeline': [dict(type='LoadImage'), dict(type='LoadPanopticSegments')]}
    (two_images.root / 'png/10.png').unlink()
    loader = DataLoader(DATASETS.build(cfg), num_workers=1, collate_fn=pseudo_collate)
    with pytest.raises(FileNotFoundError, match='png/10.png'):
        next(iter(loader))


@pytest.mark.parametrize('kind', ['panoptic', 'instance'])
def test_real_data_through_large_scale_jitter(shared_data, kind):
    root = str(shared_data / 'coco_panoptic_200')
    names = dict(
        panoptic=('CocoPanoptic', 'panoptic', 'LoadPanopticSegments'),
        instance=('CocoInstance', 'instances', 'LoadInstanceSegments'),
    )[kind]
    dataset = DATASETS.build(
        dict(
            type=names[0],
            data_root=root,
            ann_file=f'annotations/{names[1]}_train2017.json',
            indices=6,
            filter_cfg=dict(filter_empty_gt=True),
            pipeline=[dict(type='LoadImage'), dict(type=names[2]), *AUGMENTATION, dict(type='PackSegInputs')],
        )
    )
    np.random.seed(0)
    for packed in dataset:
        segments = segments_of(packed)
        assert segments.masks.shape[1:] == packed['inputs'].shape[1:]
        assert segments.masks.flatten(1).any(1).all()
        assert (segments.labels < len(dataset.metainfo['classes'])).all()


def test_unflipped_segments_lie_on_the_image(tiny):
    """A segment painted white in the image stays on the white pixels through all transforms."""
    id_map = np.zeros((40, 60), np.int64)
    id_map[8:24, 12:44] = 900
    tiny.add(id_map, [dict(id=900, category_id=7)])
    cv2.imwrite(str(tiny.root / 'img/10.png'), ((id_map > 0)[..., None] * 255).astype(np.uint8).repeat(3, 2))
    pipeline = [
        dict(type='LoadImage'),
        dict(type='LoadPanopticSegments'),
        dict(type='RandomFlip', prob=0.5),
        dict(type='RandomResize', scale=(120, 120), ratio_range=(0.5, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(70, 50)),
        dict(type='PackSegInputs'),
    ]
    dataset = DATASETS.build({**tiny.write(), 'pipeline': pipeline})
    np.random.seed(3)
    for _ in range(10):
        packed = dataset[0]
        white = packed['inputs'][0] > 127
        masks = segments_of(packed).masks
        mask = masks[0] if len(masks) else torch.zeros_like(white)
        # an edge may differ by the half pixel between OpenCV's nearest and bilinear grids
        assert (mask ^ white).sum() <= 2 * sum(white.shape)
