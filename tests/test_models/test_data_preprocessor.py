"""The batch equals the one of mmdet's ``DetDataPreprocessor``."""

import copy
import math

import numpy as np
import pytest
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData, PixelData

from mask2former.errors import ConfigError
from mask2former.models import SegDataPreprocessor, data_preprocessor

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
SIZES = {'uneven': [(37, 90), (64, 41), (5, 7)], 'multiples of 32': [(64, 96), (32, 32)], 'one image': [(33, 31)]}


def make_data(sizes):
    """Images (3, H, W) uint8 and samples with 3, 4, ... segments, and the same samples in mmdet's way."""
    generator = torch.Generator().manual_seed(0)
    images, samples, peers = [], [], []
    for i, (height, width) in enumerate(sizes):
        images.append(torch.randint(256, (3, height, width), generator=generator, dtype=torch.uint8))
        masks = torch.rand(3 + i, height, width, generator=generator) > 0.5
        labels = torch.arange(3 + i)
        sample = DetDataSample(metainfo=dict(img_shape=(height, width), img_id=i))
        peers.append(copy.deepcopy(sample))
        sample.gt_segments = InstanceData(labels=labels, masks=masks)
        sample.gt_panoptic_seg = PixelData(id_map=torch.zeros(1, height, width, dtype=torch.int32))
        peers[-1].gt_instances = InstanceData(
            labels=labels, masks=BitmapMasks(masks.numpy().astype(np.uint8), height, width)
        )
        samples.append(sample)
    return images, samples, peers


def test_padding_may_have_a_colour():
    """As if the images had been padded with it before."""
    images, _, _ = make_data(SIZES['uneven'])
    colour = (10, 20, 30)
    padded = [torch.tensor(colour, dtype=torch.uint8)[:, None, None].repeat(1, 64, 96) for _ in images]
    for image, slot in zip(images, padded):
        slot[:, : image.shape[1], : image.shape[2]] = image
    options = dict(mean=MEAN, std=STD, bgr_to_rgb=False)
    found = SegDataPreprocessor(**options, pad_val=colour)(dict(inputs=images))['inputs']
    assert torch.equal(found, SegDataPreprocessor(**options)(dict(inputs=padded))['inputs'])
    with pytest.raises(ConfigError, match=r'pad_val \(0, 0\) must have 3 values'):
        SegDataPreprocessor(**options, pad_val=(0, 0))


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('sizes', SIZES.values(), ids=SIZES)
@pytest.mark.parametrize('bgr_to_rgb, size_divisor', [(True, 32), (False, 32), (True, 1)])
def test_equals_mmdet(sizes, training, bgr_to_rgb, size_divisor):
    images, samples, peers = make_data(sizes)
    before = copy.deepcopy(samples)
    ours = SegDataPreprocessor(MEAN, STD, bgr_to_rgb, size_divisor)(
        dict(inputs=[image.clone() for image in images], data_samples=samples), training
    )
    theirs = DetDataPreprocessor(MEAN, STD, pad_size_divisor=size_divisor, pad_mask=True, bgr_to_rgb=bgr_to_rgb)(
        dict(inputs=[image.clone() for image in images], data_samples=peers), training
    )
    assert torch.equal(ours['inputs'], theirs['inputs']) and ours['inputs'].dtype == torch.float32
    assert not any(side % size_divisor for side in ours['inputs'].shape[-2:])
    for mine, other, original in zip(ours['data_samples'], theirs['data_samples'], before):
        assert mine.batch_input_shape == other.batch_input_shape == tuple(ours['inputs'].shape[-2:])
        assert mine.img_shape == other.img_shape and mine.img_id == other.img_id
        assert mine.gt_segments.masks.dtype == torch.bool
        assert np.array_equal(mine.gt_segments.masks.numpy(), other.gt_instances.masks.masks)
        assert torch.equal(mine.gt_segments.labels, other.gt_instances.labels)
        assert torch.equal(mine.gt_panoptic_seg.id_map, original.gt_panoptic_seg.id_map)
        if not training:
            assert torch.equal(mine.gt_segments.masks, original.gt_segments.masks), 'ground truth is left as it is'


def test_normalisation_in_closed_form():
    """A pixel of B, G, R = 10, 20, 30, with integers for mean and std; beyond the image all is zero."""
    image = torch.tensor([10, 20, 30], dtype=torch.uint8)[:, None, None].expand(3, 2, 3)
    batch = SegDataPreprocessor((1, 2, 3), (2, 4, 8))(dict(inputs=[image]))['inputs']
    assert batch.shape == (1, 3, 32, 32)
    assert batch[0, :, :2, :3].flatten(1).unique(dim=1).flatten().tolist() == [29 / 2, 18 / 4, 7 / 8]
    assert not batch[..., 2:, :].any() and not batch[..., 3:].any()


def test_images_without_samples_or_segments():
    images, samples, _ = make_data([(20, 30)])
    assert SegDataPreprocessor()(dict(inputs=images))['data_samples'] is None
    sample = DetDataSample(metainfo=dict(img_shape=(20, 30)))
    [result] = SegDataPreprocessor()(dict(inputs=images, data_samples=[sample]), training=True)['data_samples']
    assert result.batch_input_shape == (32, 32) and 'gt_segments' not in result
    samples[0].gt_segments = samples[0].gt_segments[:0]
    [result] = SegDataPreprocessor()(dict(inputs=images, data_samples=samples), training=True)['data_samples']
    assert result.gt_segments.masks.shape == (0, 32, 32)


def test_mean_and_std_are_no_part_of_a_checkpoint():
    assert not SegDataPreprocessor().state_dict()


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('layers, dtype', [(1, torch.uint8), (3, torch.uint8), (2, torch.int16)])
def test_masks_are_formed_from_the_map(layers, dtype, training):
    """A mask is where any layer has the segment's id; other values of the map are void."""
    values = 700 if dtype == torch.int16 else 9
    generator = torch.Generator().manual_seed(0)
    id_map = torch.randint(values, (layers, 20, 30), generator=generator).to(dtype)
    ids = torch.arange(1, values, 2, dtype=dtype)
    sample = DetDataSample(metainfo=dict(img_shape=(20, 30)))
    sample.gt_segments = InstanceData(labels=torch.arange(len(ids)), ids=ids)
    sample.gt_seg_map = PixelData(id_map=id_map)
    image = torch.zeros(3, 20, 30, dtype=torch.uint8)
    [sample] = SegDataPreprocessor()(dict(inputs=[image], data_samples=[sample]), training)['data_samples']
    assert 'gt_seg_map' not in sample and set(sample.gt_segments.keys()) == {'labels', 'masks'}
    expected = (id_map.numpy()[:, None] == ids.numpy()[:, None, None]).any(0)
    if training:
        expected = np.pad(expected, ((0, 0), (0, 12), (0, 2)))
    masks = sample.gt_segments.masks
    assert masks.dtype == torch.bool and np.array_equal(masks.numpy(), expected) and expected.any()


def test_map_without_segments():
    sample = DetDataSample(metainfo=dict(img_shape=(20, 30)))
    sample.gt_segments = InstanceData(labels=torch.zeros(0, dtype=torch.long), ids=torch.zeros(0, dtype=torch.uint8))
    sample.gt_seg_map = PixelData(id_map=torch.zeros(1, 20, 30, dtype=torch.uint8))
    image = torch.zeros(3, 20, 30, dtype=torch.uint8)
    [sample] = SegDataPreprocessor()(dict(inputs=[image], data_samples=[sample]), training=True)['data_samples']
    assert sample.gt_segments.masks.shape == (0, 32, 32) and sample.gt_segments.masks.dtype == torch.bool


@pytest.mark.parametrize('dtype', [torch.uint8, torch.uint16])
def test_bands_keep_their_order_and_each_has_its_normalisation(dtype):
    mean, std = [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 4.0, 8.0, 16.0]
    preprocessor = SegDataPreprocessor(mean=mean, std=std)
    top = torch.iinfo(dtype).max
    values = np.random.default_rng(0).integers(0, top, (5, 40, 64))
    image = torch.from_numpy(values.astype(np.uint16)).to(dtype)
    batch = preprocessor(dict(inputs=[image]))['inputs']
    expected = (values - np.array(mean)[:, None, None]) / np.array(std)[:, None, None]
    assert batch.shape == (1, 5, 64, 64)
    np.testing.assert_allclose(batch[0, :, :40], expected, rtol=1e-6, atol=1e-6)
    assert not batch[0, :, 40:].any()


def test_a_batch_of_padding_is_said_once(monkeypatch):
    said = []
    monkeypatch.setattr(data_preprocessor, 'print_log', lambda message, logger, level: said.append(message))
    monkeypatch.setattr(data_preprocessor, 'LEAST_SIDE', 100)
    preprocessor = SegDataPreprocessor(size_divisor=1, max_padding=1000)

    def batch(*sizes):
        preprocessor(dict(inputs=[torch.zeros(3, *size, dtype=torch.uint8) for size in sizes], data_samples=None))

    batch((200, 200), (150, 100))
    batch((60, 1), (1, 60))  # small
    assert not said
    batch((1, 300), (300, 1), (50, 50))
    batch((1, 300), (300, 1))
    [message] = said
    assert 'padded to 300 x 300 pixels, of which 1.1% are images (1 x 300, 300 x 1, 50 x 50)' in message


def test_padding_is_bounded():
    """A batch has at most 16 times the pixels of its images, or 1024 x 1024 each; else a sentence."""
    preprocessor = SegDataPreprocessor()
    wide, high = torch.zeros(3, 1, 3000, dtype=torch.uint8), torch.zeros(3, 3000, 1, dtype=torch.uint8)
    samples = [DetDataSample(metainfo=dict(img_path=name)) for name in ('wide.png', 'high.png')]
    with pytest.raises(
        ConfigError, match='3008 x 3008 pixels, of which 1.1% are images .1 x 3000 of wide.png, .*Aspect'
    ):
        preprocessor(dict(inputs=[wide, high], data_samples=samples))
    for alike in ([wide, wide], [high, high], [torch.zeros(3, 1, 40_000, dtype=torch.uint8)]):
        preprocessor(dict(inputs=alike))
    generator = torch.Generator().manual_seed(0)
    refused = 0
    for _ in range(40):
        sides = (2 ** (11 * torch.rand(2, 2, generator=generator))).long().tolist()
        images = [torch.zeros(3, *side, dtype=torch.uint8) for side in sides]
        try:
            batch = preprocessor(dict(inputs=images))['inputs']
        except ConfigError:
            refused += 1
            continue
        alone = sum(math.ceil(h / 32) * math.ceil(w / 32) * 32**2 for h, w in sides)
        assert batch.numel() / 3 <= max(16 * alone, len(images) * 1024**2)
    assert 0 < refused < 10
