"""Masks of one image that are formed only for the queries somebody asks for."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass
class LazyMasks:
    """The factors of an image's masks and the sizes to bring them to.

    Attributes:
        mask_embed (Tensor): (Q, C).
        mask_features (Tensor): (C, h, w).
        batch_shape (tuple[int, int]): Size of the padded input (H, W).
        img_shape (tuple[int, int]): Size of the image within it.
        ori_shape (tuple[int, int]): Size of the image as it came, and of the masks that are formed.
        max_elements (int): How many mask values :meth:`chunks` forms at a time. Defaults to 2**26 (256 MB in float32).
    """

    mask_embed: Tensor
    mask_features: Tensor
    batch_shape: tuple[int, int]
    img_shape: tuple[int, int]
    ori_shape: tuple[int, int]
    max_elements: int = 2**26

    def logits(self, index: Tensor) -> Tensor:
        """Mask logits (n, H, W) of the queries ``index`` (n,) at the original size.

        As the reference: up to the padded input, padding cut off, then to the original size.
        """
        masks = torch.einsum('qc,chw->qhw', self.mask_embed[index], self.mask_features)[:, None]  # (n, 1, h, w)
        masks = F.interpolate(masks, size=self.batch_shape, mode='bilinear', align_corners=False)
        masks = masks[..., :self.img_shape[0], :self.img_shape[1]]
        if self.img_shape != self.ori_shape:
            masks = F.interpolate(masks, size=self.ori_shape, mode='bilinear', align_corners=False)
        return masks[:, 0]

    def chunks(self, index: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of a part of ``index`` and its logits, so that memory stays bounded; none for an empty index."""
        if len(index) == 0:
            return
        pixels = max(self.ori_shape[0] * self.ori_shape[1], self.batch_shape[0] * self.batch_shape[1])
        for part in index.split(max(1, self.max_elements // pixels)):
            yield part, self.logits(part)
