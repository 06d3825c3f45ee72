"""Images of N bands: the geometry is that of three bands, values stay of their type, colours are refused."""

import random

import cv2
import numpy as np
import pytest
import tifffile
import torch
from mmcv.transforms import Compose, LoadImageFromFile
from mmengine.registry import DefaultScope

from mask2former.datasets.transforms import LoadFrames, LoadImage, PackSegInputs, Pad, SSDColorAugmentation
from mask2former.datasets.transforms.band_groups import pad
from mask2former.errors import ConfigError, DataError, MissingFileError
from mask2former.models import SegDataPreprocessor
from mask2former.registry import TRANSFORMS

HEIGHT, WIDTH = 90, 120
TYPES = ('uint8', 'uint16', 'int16', 'float32')
BANDS = (1, 2, 3, 4, 5, 13, 150)
GEOMETRY = {
    'resize': [dict(type='Resize', scale=(77, 51), keep_ratio=False)],
    'enlarge': [dict(type='Resize', scale=(333, 333), keep_ratio=True)],
    'half': [dict(type='Resize', scale_factor=0.5, keep_ratio=True)],
    'area': [dict(type='Resize', scale_factor=0.4, keep_ratio=True, interpolation='area')],
    'nearest': [dict(type='Resize', scale=(100, 100), interpolation='nearest')],
    'short sides': [dict(type='RandomChoiceResize', scales=[(50, 80), (70, 200)], keep_ratio=True)],
    'flip': [dict(type='RandomFlip', prob=1.0, direction=['horizontal', 'vertical', 'diagonal'])],
    'crop': [dict(type='RandomCrop', crop_size=(40, 50))],
    'pad': [dict(type='Pad', size=(150, 140), pad_val=dict(img=7, seg=0))],
    'pad to a multiple': [dict(type='Pad', size_divisor=32, pad_val=7)],
    'pad to a square': [dict(type='Pad', pad_to_square=True, pad_val=dict(img=7, seg=0))],
    'mirrored pad': [dict(type='Pad', size=(130, 100), padding_mode='reflect')],
    'jitter, smaller': [dict(type='LargeScaleJitter', crop_size=(96, 80), ratio_range=(0.3, 0.6), pad_val=7)],
    'jitter, larger': [dict(type='LargeScaleJitter', crop_size=(96, 80), ratio_range=(1.3, 2.5), pad_val=7)],
    'all': [
        dict(type='RandomFlip', prob=0.5),
        dict(type='RandomResize', scale=(120, 90), ratio_range=(0.5, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(64, 64)),
        dict(type='Pad', size=(64, 64), pad_val=dict(img=7, seg=0)),
    ],
}


def band_of(dtype, seed=0):
    values = np.random.default_rng(seed).random((HEIGHT, WIDTH))
    return (values * {'uint8': 255, 'uint16': 65535, 'int16': 30000, 'float32': 1}[dtype]).astype(dtype)


def seg_map():
    return np.random.default_rng(1).integers(0, 9, (HEIGHT, WIDTH)).astype(np.uint8)


def apply(steps, image, seed=3):
    random.seed(seed)
    np.random.seed(seed)
    with DefaultScope.overwrite_default_scope('mask2former'):
        transform = Compose([TRANSFORMS.build(step) for step in steps])
    results = dict(img=image, gt_seg_map=seg_map(), img_shape=image.shape[:2], ori_shape=image.shape[:2])
    return transform(results)


@pytest.mark.parametrize('dtype', TYPES)
@pytest.mark.parametrize('steps', GEOMETRY.values(), ids=GEOMETRY)
def test_bands_that_are_copies_of_one_are_what_three_are(steps, dtype):
    """OpenCV rounds otherwise where it has a faster way for three channels: by one unit, floats by 1e-5."""
    band = band_of(dtype)
    expected = apply(steps, np.stack([band] * 3, axis=-1))
    for bands in BANDS:
        found = apply(steps, np.stack([band] * bands, axis=-1))
        assert found['img'].dtype == band.dtype and found['img'].shape[:2] == found['gt_seg_map'].shape[:2]
        image = found['img'].reshape(*found['img'].shape[:2], -1)
        assert image.shape[2] == bands
        difference = np.abs(image.astype(np.float64) - expected['img'][..., :1])
        assert difference.max() <= (1e-5 if dtype == 'float32' else 1), bands
        assert (difference > 0).mean() < (1 if dtype == 'float32' else 0.2), bands
        np.testing.assert_array_equal(found['gt_seg_map'], expected['gt_seg_map'])
        assert found['img_shape'] == expected['img_shape']


@pytest.mark.parametrize('steps', GEOMETRY.values(), ids=GEOMETRY)
def test_bands_are_not_mixed(steps):
    """Each is what it is alone."""
    bands = [band_of('float32', seed) for seed in range(6)]
    together = apply(steps, np.stack(bands, axis=-1))['img']
    for i, band in enumerate(bands):
        alone = apply(steps, band[..., None])['img']
        np.testing.assert_allclose(together[..., i], alone.reshape(alone.shape[:2]), rtol=0, atol=1e-5)


@pytest.mark.parametrize('transform', ['Resize', 'LargeScaleJitter'])
def test_pillow_takes_any_number_of_uint8_bands(transform):
    """Of four bands the last is no alpha, which Pillow multiplies the others by."""
    step = dict(
        Resize=dict(type='Resize', scale=(77, 51), keep_ratio=False, backend='pillow'),
        LargeScaleJitter=dict(type='LargeScaleJitter', crop_size=(60, 60), pad_val=0, backend='pillow'),
    )[transform]
    bands = [band_of('uint8', seed) for seed in range(4)]
    expected = apply([step], np.stack(bands[:3], axis=-1))['img']
    for count in (1, 2, 4):
        found = apply([step], np.stack(bands[:count], axis=-1))['img']
        shown = min(count, 3)
        np.testing.assert_array_equal(found.reshape(*found.shape[:2], -1)[..., :shown], expected[..., :shown])
    with pytest.raises(ConfigError, match=f'{transform}: Pillow resizes uint8 images, not uint16'):
        apply([step], band_of('uint16')[..., None])


@pytest.mark.parametrize('dtype', TYPES)
@pytest.mark.parametrize('value', [7, (1.4, 2.5, 3.6)])
def test_padding_of_many_bands_rounds_as_opencv(dtype, value):
    image = np.stack([band_of(dtype, seed) for seed in range(3)], axis=-1)
    expected = pad(image, (100, 140), value, 'it')  # by OpenCV
    twice = pad(np.concatenate([image, image], axis=2), (100, 140), value if value == 7 else value * 2, 'it')
    np.testing.assert_array_equal(twice, np.concatenate([expected, expected], axis=2))
    assert twice.dtype == dtype


def test_padding_of_another_number_of_values_is_refused():
    image = band_of('uint16')[..., None].repeat(5, axis=2)
    for step, name in (
        (dict(type='LargeScaleJitter', crop_size=(200, 200)), 'pad_val of LargeScaleJitter has 3 values'),
        (dict(type='Pad', size=(200, 200), pad_val=dict(img=(1, 2))), r"pad_val\['img'\] of Pad has 2 values"),
    ):
        with pytest.raises(ConfigError, match=f'{name}, but the image has 5 bands: give one for each band'):
            apply([step], image)


def test_many_layers_of_segments_are_padded():
    results = dict(img=np.zeros((4, 5, 3), np.uint8), gt_seg_map=np.ones((4, 5, 7), np.uint8))
    padded = Pad(size=(8, 6), pad_val=dict(img=(1, 2, 3), seg=0)).transform(results)['gt_seg_map']
    np.testing.assert_array_equal(padded, np.pad(np.ones((4, 5, 7), np.uint8), ((0, 2), (0, 3), (0, 0))))


@pytest.mark.parametrize('image', [np.zeros((4, 5, 5), np.uint8), np.zeros((4, 5, 3), np.uint16), np.zeros((4, 5))])
def test_colours_of_others_are_not_changed(image):
    with pytest.raises(ConfigError, match='SSDColorAugmentation .* leave it out of the pipeline'):
        SSDColorAugmentation().transform(dict(img=image))


def test_load_image_keeps_bands_and_type(tmp_path):
    image = np.stack([band_of('uint16', seed) for seed in range(5)], axis=-1)
    path = str(tmp_path / 'a.tif')
    tifffile.imwrite(path, image, photometric='minisblack', planarconfig='contig')
    results = LoadImage(bands=5).transform(dict(img_path=path, img_id=3))
    np.testing.assert_array_equal(results['img'], image)
    assert results['img'].dtype == np.uint16 and results['bands'] == 5 and results['img_id'] == 3
    assert results['img_shape'] == results['ori_shape'] == (HEIGHT, WIDTH)
    as_float = LoadImage(to_float32=True, bands=5).transform(dict(img_path=path))['img']
    np.testing.assert_array_equal(as_float, image.astype(np.float32))


def test_three_bands_are_those_of_ordinary_images(tmp_path):
    image = np.stack([band_of('uint8', seed) for seed in range(3)], axis=-1)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    tifffile.imwrite(tmp_path / 'a.tif', image[..., ::-1], photometric='rgb')
    for name in ('a.png', 'a.tif'):
        results = LoadImage(bands=3).transform(dict(img_path=str(tmp_path / name)))
        np.testing.assert_array_equal(results['img'], image)
    plain = LoadImage().transform(dict(img_path=str(tmp_path / 'a.png')))
    theirs = LoadImageFromFile().transform(dict(img_path=str(tmp_path / 'a.png')))
    np.testing.assert_array_equal(plain['img'], theirs['img'])
    assert plain.keys() == theirs.keys()


def test_load_image_says_what_is_wrong(tmp_path):
    path = str(tmp_path / 'a.npy')
    np.save(path, np.zeros((6, 5, 3), np.float32))
    with pytest.raises(DataError, match=r"a\.npy' is of 6 x 5 x 3 values, .* LoadImage\(bands=4\)"):
        LoadImage(bands=4).transform(dict(img_path=path))
    with pytest.raises(MissingFileError, match='data_prefix'):
        LoadImage(bands=4).transform(dict(img_path=str(tmp_path / 'b.npy')))
    assert LoadImage(bands=4, ignore_empty=True).transform(dict(img_path=path)) is None
    with pytest.raises(ConfigError, match='bands is 0'):
        LoadImage(bands=0)
    with pytest.raises(ConfigError, match='leave out color_type'):
        LoadImage(bands=4, color_type='grayscale')
    assert repr(LoadImage(bands=4)).endswith(', bands=4)') and 'bands' not in repr(LoadImage())


def test_frames_of_a_video(tmp_path):
    np.save(tmp_path / 'a.npy', np.zeros((4, 5, 6), np.uint16))
    results = dict(frames=[str(tmp_path / 'a.npy')], frame_ids=[0, 0], video_id=1, height=4, width=5)
    clip = LoadFrames(bands=6).transform(results)['clip']
    assert [frame['img'].shape for frame in clip] == [(4, 5, 6)] * 2


@pytest.mark.parametrize('dtype', TYPES)
@pytest.mark.parametrize('bands', BANDS)
def test_packed_and_normalised(bands, dtype):
    image = np.stack([band_of(dtype, seed) for seed in range(bands)], axis=-1)
    packed = PackSegInputs().transform(dict(img=image, bands=bands, ori_shape=image.shape[:2]))
    assert packed['inputs'].dtype == getattr(torch, dtype) and packed['data_samples'].bands == bands
    np.testing.assert_array_equal(packed['inputs'].numpy(), image.transpose(2, 0, 1))
    mean, std = np.arange(1, bands + 1), np.arange(2, bands + 2)
    batch = SegDataPreprocessor(mean.tolist(), std.tolist())(dict(inputs=[packed['inputs']]))['inputs'][0]
    in_order = image[..., ::-1] if bands == 3 else image  # mean and std are in the order of the file
    expected = (in_order.astype(np.float32) - mean.astype(np.float32)) / std.astype(np.float32)
    np.testing.assert_allclose(batch[:, :HEIGHT, :WIDTH].numpy().transpose(1, 2, 0), expected, rtol=1e-6)
    assert batch.dtype == torch.float32 and not batch[:, HEIGHT:].any()


def test_the_preprocessor_refuses_another_number_of_bands():
    with pytest.raises(ConfigError, match='An image has 1 bands, but model.data_preprocessor normalises 5'):
        SegDataPreprocessor([0] * 5, [1] * 5)(dict(inputs=[torch.zeros(1, 4, 5)]))


def test_ordinary_images_are_packed_as_uint8():
    image = np.array([[[0.4, 254.6, 300.0], [-3.0, 1.5, 2.5]]], np.float32)
    packed = PackSegInputs().transform(dict(img=image))['inputs']
    assert packed.dtype == torch.uint8 and packed[:, 0].T.tolist() == [[0, 255, 255], [0, 2, 2]]
