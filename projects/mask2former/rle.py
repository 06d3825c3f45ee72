"""COCO's run-length encoding (RLE), the form of predicted masks: ``dict(size=[H, W], counts=bytes)``."""

from collections.abc import Sequence

import numpy as np
import torch
from pycocotools import mask as mask_utils


def encode_masks(masks: torch.Tensor) -> list[dict]:
    """Encode masks ``(n, H, W)`` bool to n run-length dicts of COCO."""
    columns_first = masks.to(torch.uint8).transpose(1, 2).contiguous().cpu().numpy()  # (n, W, H)
    return mask_utils.encode(columns_first.transpose(2, 1, 0))  # (H, W, n) in Fortran order, without a copy


def decode_mask(rle: dict) -> np.ndarray:
    """The mask (H, W) bool of a run-length dict."""
    return mask_utils.decode(rle).view(bool)


def json_rle(rle: dict) -> dict:
    """A run-length dict as JSON can hold it."""
    return dict(size=[int(side) for side in rle['size']], counts=rle['counts'].decode('ascii'))


def as_rle(masks: Sequence[dict] | torch.Tensor | np.ndarray) -> list[dict]:
    """The masks of instances as run-length dicts.

    Args:
        masks (Sequence[dict] | Tensor | np.ndarray): n run-length dicts, as this package predicts them, or bitmaps
            (n, H, W), as targets and the predictions of mmdet's models are.

    Raises:
        ValueError: The masks are of another form.
    """
    if isinstance(masks, (torch.Tensor, np.ndarray)) and masks.ndim == 3:
        return encode_masks(torch.as_tensor(masks))
    if isinstance(masks, (list, tuple)) and all(isinstance(mask, dict) for mask in masks):
        return list(masks)
    raise ValueError(
        "The masks of instances must be a list of COCO's run-length dicts or bitmaps (n, H, W), but are "
        f'{getattr(masks, "shape", type(masks).__name__)}.'
    )
