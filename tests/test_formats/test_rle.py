"""Masks as COCO's run-length encoding."""

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils

from mask2former.formats.rle import as_rle, decode_crop, encode_crops


def test_masks_as_run_lengths():
    masks = torch.rand(5, 17, 23, generator=torch.Generator().manual_seed(0)) > torch.linspace(0, 1, 5)[:, None, None]
    rles = [mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks.numpy()]
    assert as_rle(masks) == as_rle(masks.numpy()) == as_rle(rles) == rles
    assert as_rle(masks[:0]) == as_rle([]) == []
    for wrong in (masks[0], [[1, 2, 3]], None):
        with pytest.raises(ValueError, match='must be a list of COCO'):
            as_rle(wrong)


@pytest.mark.parametrize('seed', range(6))
def test_crops_are_parts_of_the_mask(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((19, 31), bool)
    top, left = rng.integers(0, 10), rng.integers(0, 15)
    mask[top : top + rng.integers(1, 20), left : left + rng.integers(1, 20)] = True
    mask &= rng.random(mask.shape) < (1, 0.9, 0.5)[seed % 3]
    rle = mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
    crop, y, x = decode_crop(rle)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (y, x) == (rows[0], columns[0])
    assert np.array_equal(crop, mask[y : rows[-1] + 1, x : columns[-1] + 1])
    assert encode_crops([(crop, y, x)], *mask.shape) == rle
    cuts = range(x, x + crop.shape[1], 4)
    assert encode_crops([(crop[:, c - x : c - x + 4], y, c) for c in cuts], *mask.shape) == rle


def test_an_empty_mask_has_no_crop():
    rle = encode_crops([], 4, 5)
    assert mask_utils.decode(rle).shape == (4, 5) and mask_utils.area(rle) == 0
    assert decode_crop(rle)[0].size == 0
