"""Masks as COCO's run-length encoding."""

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils

from mask2former.formats.rle import as_rle


def test_masks_as_run_lengths():
    masks = torch.rand(5, 17, 23, generator=torch.Generator().manual_seed(0)) > torch.linspace(0, 1, 5)[:, None, None]
    rles = [mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks.numpy()]
    assert as_rle(masks) == as_rle(masks.numpy()) == as_rle(rles) == rles
    assert as_rle(masks[:0]) == as_rle([]) == []
    for wrong in (masks[0], [[1, 2, 3]], None):
        with pytest.raises(ValueError, match='must be a list of COCO'):
            as_rle(wrong)
