"""The truth as a decoder output."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample

from mask2former.evaluation.truth import TrueSegment
from mask2former.formats.rle import encode_mask
from mask2former.limits.oracle import DOUBT, SURE, area_weights, oracle_view
from mask2former.models.masks import Geometry, LazyMasks
from mask2former.models.postprocess import InstanceTopK, PanopticFusion, SemanticInference


def blobs(size, count, seed=0):
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, *size), dtype=bool)
    for mask in masks:
        y, x = rng.integers(0, size[0] - 6), rng.integers(0, size[1] - 6)
        mask[y : y + rng.integers(3, 20), x : x + rng.integers(3, 20)] = True
    return masks


def segments_of(masks):
    return [TrueSegment(index % 3, encode_mask(mask)) for index, mask in enumerate(masks)]


def formed(view):
    """The mask logits (n, H, W) at the original size, by rows."""
    queries = torch.arange(len(view.class_logits))
    return torch.cat([logits.clone() for _, logits in view.masks.rows(queries)]).transpose(0, 1)


def test_the_mean_over_a_pixel_of_the_mask_features_is_that_of_pooling():
    masks = torch.from_numpy(blobs((64, 96), 5)).float()
    weights = area_weights(16, 64, 64, 64), area_weights(24, 96, 96, 96)
    torch.testing.assert_close(weights[0] @ masks @ weights[1].T, F.avg_pool2d(masks, 4), rtol=0, atol=1e-6)


@pytest.mark.parametrize(('small', 'batch', 'image', 'original'), [(16, 64, 50, 37), (8, 32, 30, 120), (8, 32, 4, 4)])
def test_the_mean_over_a_resized_padded_image_is_that_of_a_fine_grid(small, batch, image, original):
    line = torch.rand(original, generator=torch.Generator().manual_seed(0))
    fine = 1000
    position = (np.arange(image * fine) + 0.5) / fine * original / image  # of points of the input, in the original
    values = line[torch.from_numpy(position.astype(int))].double()
    step = batch // small * fine
    expected = [float(part.mean()) for part in values.split(step)]
    expected += [expected[-1]] * (small - len(expected))  # over the padding alone
    found = area_weights(small, batch, image, original) @ line
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=2e-3)


def test_masks_of_the_original_size_are_the_truth():
    size = (37, 50)
    masks = blobs(size, 4)
    geometry = Geometry(img_shape=(64, 96), ori_shape=size, flips=(False, False))
    view = oracle_view(segments_of(masks), 3, geometry, None)
    expected = SURE * (2 * torch.from_numpy(masks).float() - 1)
    assert torch.equal(formed(view), expected)
    columns = torch.full_like(expected, -SURE)
    for strip, index, logits in view.masks.columns(torch.arange(4)):
        columns[index, :, strip] = logits.permute(1, 2, 0)
    assert torch.equal(columns, expected)
    # What is left out is that nothing is resized; the ordinary way gives the same.
    plain = LazyMasks(view.masks.mask_embed, view.masks.mask_features, size, size, size)
    torch.testing.assert_close(torch.cat([x for _, x in plain.rows(torch.arange(4))]).transpose(0, 1), expected)


@pytest.mark.parametrize('flips', [(False, True), (True, False)])
def test_a_flipped_image_has_its_masks_on_the_original(flips):
    size = (40, 56)
    masks = blobs(size, 3)
    views = [
        oracle_view(segments_of(masks), 3, Geometry(img_shape=(64, 96), ori_shape=size, flips=way), 4)
        for way in (flips, (False, False))
    ]
    agree = (formed(views[0]) > 0) == (formed(views[1]) > 0)
    assert agree.float().mean() > 0.98  # the padding lies at the other side
    assert ((formed(views[0]) > 0).numpy() == masks).mean() > 0.97


def test_classes_are_sure_in_the_order_of_the_segments():
    geometry = Geometry(img_shape=(32, 32), ori_shape=(32, 32), flips=(False, False))
    view = oracle_view(segments_of(blobs((32, 32), 4)), 3, geometry, 4)
    probability = view.class_logits.softmax(-1)
    assert probability.argmax(-1).tolist() == [0, 1, 2, 0]
    best = probability.amax(-1)
    assert best[0] == 1 and (best.diff() < 0).all() and best[-1] > 1 - DOUBT


def test_an_image_without_segments_has_empty_results():
    geometry = Geometry(img_shape=(32, 64), ori_shape=(20, 40), flips=(False, False))
    sample = DetDataSample()
    for postprocessor in (PanopticFusion(), InstanceTopK(max_per_image=1), SemanticInference()):
        view = oracle_view([], 3, geometry, 4)
        postprocessor(view.class_logits, view.masks, (True, True, False), sample)
    assert not sample.pred_panoptic_seg.id_map.any() and not sample.pred_panoptic_seg.segments_info
    assert not sample.pred_instances.scores.any()
    assert sample.pred_sem_seg.sem_seg.shape == (1, 20, 40)
