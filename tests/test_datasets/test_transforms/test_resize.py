"""Resizing with Pillow, which filters what it makes smaller; the map takes the nearest pixel centre all the same."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mask2former.registry import TRANSFORMS

DATASETS = Path(__file__).parents[3] / 'configs/_base_/datasets'


@pytest.mark.parametrize('size', [(200, 300), (31, 97)], ids=['smaller', 'larger'])
@pytest.mark.parametrize(
    'cfg', [dict(type='Resize', scale=(120, 61)), dict(type='RandomChoiceResize', scales=[(300, 61), (90, 47)])]
)
def test_pillow_backend_equals_pillow_bit_for_bit(size, cfg):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    seg_map = np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8)
    np.random.seed(0)
    results = TRANSFORMS.build(dict(cfg, keep_ratio=True, backend='pillow')).transform(
        dict(img=image, gt_seg_map=seg_map)
    )
    h, w = results['img_shape']
    assert (h, w) != size
    expected = np.asarray(Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR))
    assert np.array_equal(results['img'], expected)
    rows, columns = (((np.arange(n) + 0.5) * side / n).astype(int) for n, side in zip((h, w), size))
    assert np.array_equal(results['gt_seg_map'], seg_map[rows][:, columns])


@pytest.mark.parametrize('size', [(2, 3000), (3000, 1)])
@pytest.mark.parametrize(
    'cfg',
    [
        dict(type='Resize', scale=(64, 64), keep_ratio=True),
        dict(type='Resize', scale=(64, 64), keep_ratio=True, backend='pillow'),
        dict(type='LargeScaleJitter', crop_size=(64, 64), scale=(64, 64), ratio_range=(0.75, 1.5), pad_val=0),
    ],
)
@pytest.mark.parametrize('bands', [3, 5])
def test_a_very_narrow_image_keeps_a_pixel(size, cfg, bands):
    results = dict(img=np.full((*size, bands), 7, np.uint8), gt_seg_map=np.ones(size, np.uint8))
    results = TRANSFORMS.build(cfg).transform(results)
    assert results['img'].shape == (*results['img_shape'], bands) and results['gt_seg_map'].any()
    if cfg['type'] == 'Resize':
        assert results['img_shape'] == ((1, 64) if size[0] < size[1] else (64, 1))
        assert results['gt_seg_map'].shape == results['img_shape'] and results['keep_ratio'] is True
        factors = [new / old for new, old in zip(results['img_shape'], size)]
        assert results['scale_factor'] == pytest.approx(factors[::-1])


@pytest.mark.parametrize(
    'name',
    [
        'ade20k_full_semantic',
        'ade20k_instance',
        'ade20k_panoptic',
        'ade20k_semantic',
        'ade20k_semantic_640',
        'ade20k_semantic_window-512',
        'cityscapes_instance',
        'cityscapes_panoptic',
        'cityscapes_semantic',
        *(
            f'{name}_square-{side}'
            for name in ('ade20k_panoptic', 'coco_panoptic', 'coco_instance')
            for side in (640, 1280)
        ),
        'mapillary_panoptic',
        'mapillary_semantic',
    ],
)
def test_what_is_made_smaller_at_test_time_is_filtered(name):
    """Cityscapes has 2048 x 1024 pixels, so it is the views of test-time augmentation that are smaller."""
    pipeline = Config.fromfile(DATASETS / f'{name}.py').val_dataloader.dataset.pipeline
    [resize] = [transform for transform in pipeline if transform['type'] == 'Resize']
    assert resize.get('backend') == 'pillow'


def test_views_of_test_time_augmentation_are_filtered():
    pipeline = Config.fromfile(DATASETS.parent / 'tta' / 'semantic_multi_scale.py').tta_pipeline
    resizes = [step for choice in pipeline[-1]['transforms'] for step in choice if step['type'] == 'Resize']
    assert len(resizes) == 6 and all(resize.get('backend') == 'pillow' for resize in resizes)
