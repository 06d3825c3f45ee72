"""Sliding windows: what one window after the other and plain averages give, and never more windows than needed."""

import weakref
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample

from mask2former.models import sliding_window
from mask2former.models.head import HeadOutput
from mask2former.models.masks import LazyMasks
from mask2former.models.sliding_window import SlidingWindow
from mask2former.registry import MODELS
from tests.tiny import random_images, tiny_config

from .flip_equivariant import build_flip_equivariant

SEMANTIC = dict(panoptic=None, instance=None, semantic=dict(type='SemanticInference'))


def build(**options):
    return build_flip_equivariant(SEMANTIC, **options)


def sample_for(img_shape, ori_shape=None, **meta):
    return DetDataSample(metainfo=dict(img_shape=img_shape, ori_shape=ori_shape or img_shape, **meta))


def predict(model, images, *samples):
    return [sample.pred_sem_seg.sem_seg[0] for sample in model(images, list(samples), mode='predict')]


@pytest.mark.parametrize(
    'size, expected',
    [
        (64, [(0, 64)]),
        (50, [(0, 50)]),
        (65, [(0, 64), (1, 65)]),
        (112, [(0, 64), (48, 112)]),
        (113, [(0, 64), (48, 112), (49, 113)]),
    ],
)
def test_windows_lie_as_those_of_mmseg(size, expected):
    window = SlidingWindow((64, 32), (48, 32))
    assert window.windows(size, 0) == expected
    assert window.windows(96, 1) == [(0, 32), (32, 64), (64, 96)]


def test_windows_without_a_stride_are_few_and_spread_evenly():
    window = SlidingWindow((64, 32))
    assert window.windows(50, 0) == [(0, 50)] and window.windows(64, 0) == [(0, 64)]
    assert window.windows(65, 0) == [(0, 64), (1, 65)] and window.windows(128, 0) == [(0, 64), (64, 128)]
    assert window.windows(150, 0) == [(0, 64), (43, 107), (86, 150)]
    for size in range(1, 300):
        windows = window.windows(size, 1)
        assert windows[0][0] == 0 and windows[-1][1] == size and len(windows) == -(-size // 32)
        assert all(after[0] <= before[1] for before, after in zip(windows, windows[1:]))


@pytest.mark.parametrize('size', [(96, 160), (77, 133)])
@torch.no_grad()
def test_scores_are_averaged_where_windows_overlap(size):
    model = build(sliding_window=dict(crop_size=(64, 72), stride=(40, 48)))
    H, W = size
    image = random_images(1, size)
    padded = F.pad(image, (0, -W % 32, 0, -H % 32))
    total, count = torch.zeros(4, H, W), torch.zeros(H, W)
    for y in sorted({min(y, H - 64) for y in range(0, H, 40)}):
        for x in sorted({min(x, W - 72) for x in range(0, W, 48)}):
            part = F.pad(image[..., y : y + 64, x : x + 72], (0, 24))  # 64 x 96
            class_logits, low = model(part)
            masks = F.interpolate(low, size=(64, 96), mode='bilinear')[0, :, :, :72].sigmoid()
            total[:, y : y + 64, x : x + 72] += torch.einsum('qk,qhw->khw', class_logits[0].softmax(-1)[:, :-1], masks)
            count[y : y + 64, x : x + 72] += 1
    assert count.min() == 1 and count.max() > 1
    scores = total / count
    [found] = predict(model, padded, sample_for(size))
    best, second = scores.topk(2, 0).values
    assert torch.equal(found, scores.argmax(0)) or (best - second)[found != scores.argmax(0)].max() < 1e-6
    assert (found != scores.argmax(0)).float().mean() < 1e-3


@pytest.mark.parametrize('ori_shape', [(77, 133), (140, 201), (40, 61)])
@pytest.mark.parametrize('meta', [{}, dict(flip=True, flip_direction='diagonal')])
def test_one_window_over_the_image_is_the_whole_path(ori_shape, meta):
    image = F.pad(random_images(1, (77, 133)), (0, 27, 0, 19))
    [whole] = predict(build(), image, sample_for((77, 133), ori_shape, **meta))
    for crop_size in [(77, 133), (96, 160), (1024, 1024)]:
        sliding = build(sliding_window=dict(crop_size=crop_size, stride=(30, 30)))
        [found] = predict(sliding, image, sample_for((77, 133), ori_shape, **meta))
        assert torch.equal(found, whole)
    assert len(whole.unique()) > 1


def test_images_of_a_batch_are_each_tested_alone():
    model = build(sliding_window=dict(crop_size=(64, 64), stride=(48, 48)))
    images = torch.zeros(2, 3, 96, 160)
    images[0, :, :60, :150] = random_images(1, (60, 150))
    images[1] = random_images(1, (96, 160), seed=1)
    shapes = [(60, 150), (96, 160)]
    both = predict(model, images, *(sample_for(shape) for shape in shapes))
    for image, shape, found in zip(images, shapes, both):
        [alone] = predict(model, image[None], sample_for(shape))
        assert torch.equal(found, alone)


@pytest.mark.parametrize('ori_shape', [(96, 160), (131, 207)])
@pytest.mark.parametrize('direction, axes', [('vertical', (0,)), ('horizontal', (1,)), ('diagonal', (0, 1))])
def test_a_flipped_image_gives_the_flipped_result(monkeypatch, ori_shape, direction, axes):
    monkeypatch.setattr(sliding_window, 'LazyMasks', partial(LazyMasks, max_bytes=2**15))  # strips of a few rows
    model = build(sliding_window=dict(crop_size=(64, 64), stride=(48, 40)))
    image = random_images(1, (96, 160))
    [expected] = predict(model, image, sample_for((96, 160), ori_shape))
    [found] = predict(model, image, sample_for((96, 160), ori_shape, flip=True, flip_direction=direction))
    # At ori_shape other than img_shape, a centre may lie on a window's edge: it is then in one window or the other.
    assert (found != expected.flip(axes)).float().mean() < 1e-3


@pytest.mark.parametrize('ori_shape', [(100, 150), (131, 207), (61, 80)])
@pytest.mark.parametrize('meta', [{}, dict(flip=True, flip_direction='diagonal')])
def test_weights_of_windows_sum_to_one(ori_shape, meta):
    model = build(sliding_window=dict(crop_size=(64, 64), stride=(24, 40)))
    [views] = model.views(torch.zeros(1, 3, 128, 160), [sample_for((100, 150), ori_shape, **meta)])
    total, smallest = torch.zeros(ori_shape), 1
    for _, masks, (down, across) in views:
        weight = down[masks.extent(0), None] * across[masks.extent(1)]
        total[masks.extent(0), masks.extent(1)] += weight
        smallest = min(smallest, weight.min())
    torch.testing.assert_close(total, torch.ones(ori_shape))
    assert smallest <= 0.25


def test_only_windows_of_the_rows_at_work_exist(monkeypatch):
    monkeypatch.setattr(sliding_window, 'LazyMasks', partial(LazyMasks, max_bytes=2**13))  # strips of six rows
    model = build(sliding_window=dict(crop_size=(32, 32), stride=(32, 32)))
    alive, most = weakref.WeakSet(), []
    extract = model.extract

    def counted(inputs):
        output = extract(inputs)
        output = HeadOutput(output.class_logits, output.mask_embed, output.mask_features.clone())
        alive.add(output.mask_features)
        most.append(len(alive))
        return output

    model.extract = counted
    predict(model, random_images(1, (256, 64)), sample_for((256, 64)))
    assert len(most) == 16
    assert max(most) <= 6  # two rows of two, the one that is fetched, the first of the next row


def test_panoptic_and_instance_results_are_refused():
    with pytest.raises(ValueError, match='semantic results only, not for PanopticFusion, InstanceTopK: .*=None'):
        MODELS.build(dict(tiny_config(), sliding_window=dict(crop_size=(64, 64), stride=(32, 32))))


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(crop_size=(64, 64), stride=(65, 64)), r'stride \(65, 64\) is larger than crop_size \(64, 64\)'),
        (dict(crop_size=(64,), stride=(64, 64)), 'crop_size must be two whole numbers'),
        (dict(crop_size=(64, 64), stride=(0, 64)), 'stride must be two whole numbers'),
    ],
)
def test_wrong_windows_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(sliding_window=options)
