"""Masks that are encoded strip by strip: COCO's RLE as pycocotools makes it."""

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils

from mask2former.formats.rle import decode_mask
from mask2former.models.masks.strip_rle import StripEncoder


def random_masks(H=17, W=23):
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(20, H, W, generator=generator) > torch.linspace(0.5, 1, 20)[:, None, None]
    masks[3] = False
    masks[4] = True
    masks[5] = False
    masks[5, H - 1, W - 1] = True
    masks[6] = False
    masks[6, 0, 0] = True
    masks[7, :, 5:9] = True
    masks[8] = False
    masks[8, :3, 4:] = True
    masks[8, -2:, 3:-1] = True
    return masks


@pytest.mark.parametrize('height', [1, 7, 8, 17])
@pytest.mark.parametrize('step', [1, 4, 23])
def test_run_lengths_equal_pycocotools(height, step):
    masks = random_masks(height)
    columns_first = masks.permute(2, 0, 1)
    encoder = StripEncoder(len(masks), height, 23)
    for start in range(0, 23, step):
        band = columns_first[start : start + step]
        places = band.any(0).any(1).nonzero().flatten()
        encoder.add(slice(start, min(start + step, 23)), places, band[:, places])
    rles, boxes = encoder.finish()
    assert rles == [mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks.numpy()]
    assert np.array_equal(np.stack([decode_mask(rle) for rle in rles]), masks.numpy())
    for box, mask in zip(boxes.tolist(), masks.numpy()):
        y, x = np.nonzero(mask)
        assert box == ([x.min(), y.min(), x.max() + 1, y.max() + 1] if len(x) else [0, 0, 0, 0])
    assert boxes.dtype == torch.float32
    if height == 17:
        assert boxes[3:7].tolist() == [[0, 0, 0, 0], [0, 0, 23, 17], [22, 16, 23, 17], [0, 0, 1, 1]]


def test_no_masks_to_encode():
    rles, boxes = StripEncoder(0, 5, 6).finish()
    assert rles == [] and boxes.shape == (0, 4)
    [rle], boxes = StripEncoder(1, 5, 6).finish()
    assert rle == mask_utils.encode(np.zeros((5, 6), np.uint8, order='F')) and boxes.tolist() == [[0, 0, 0, 0]]
