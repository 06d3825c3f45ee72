"""The truth as a decoder output: what a model without a fault would give the postprocessors."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mask2former.evaluation.truth import TrueSegment
from mask2former.formats.rle import decode_mask
from mask2former.models.masks import Geometry, LazyMasks
from mask2former.models.masks.lazy import LowResolutionMasks
from mask2former.models.postprocess import View

# Mask logits where a segment covers all of a pixel; where it covers nothing, minus this.
SURE = 10.0
# The first segment's class is certain, the last one's nearly so much less: over any threshold, and in their order.
DOUBT = 0.01


def oracle_view(
    segments: Sequence[TrueSegment], num_classes: int, geometry: Geometry, stride: int | None, divisor: int = 32
) -> View:
    """A query for each segment, whose class is known and whose mask is as good as the mask features allow.

    A mask's logit in a pixel of the mask features grows with the share of it that the segment covers, and is 0 at a
    half. (Logits that are chosen with the enlarged mask in mind could keep somewhat more of a thin or tiny segment.)

    Args:
        segments: Those that are found, the most important first: its class score is highest.
        num_classes: K.
        geometry: Sizes of the image as the model gets it and of the original.
        stride: Of the mask features, in pixels of the input; None gives the masks as they are, at the original size.
        divisor: Height and width of the input are padded to multiples of it.

    Returns:
        View: Of as many queries as there are segments; one without a class where there is none.
    """
    H, W = geometry['ori_shape']
    masks = np.zeros((max(1, len(segments)), H, W), dtype=np.float32)
    for mask, segment in zip(masks, segments):
        mask[:] = decode_mask(segment.mask)
    class_logits = torch.full((len(masks), num_classes + 1), -torch.inf)
    for rank, segment in enumerate(segments):
        sure = 1 - DOUBT * rank / len(segments)
        class_logits[rank, segment.label] = np.log(sure)
        class_logits[rank, num_classes] = np.log1p(-sure) if rank else -torch.inf
    if not segments:
        class_logits[0, num_classes] = 0.0
    covered = torch.from_numpy(masks)
    if stride is None:
        logits = covered.mul_(2 * SURE).sub_(SURE)
        return View(class_logits, _WholeMasks(torch.eye(len(logits)), logits, (H, W), (H, W), (H, W)))
    h, w = geometry['img_shape']
    batch_shape = -(-h // divisor) * divisor, -(-w // divisor) * divisor
    down, across = (
        area_weights(batch_shape[axis] // stride, batch_shape[axis], geometry['img_shape'][axis], (H, W)[axis])
        for axis in (0, 1)
    )
    down, across = (weights.flip(1) if flip else weights for weights, flip in zip((down, across), geometry['flips']))
    logits = SURE * (2 * (down @ covered @ across.T) - 1)  # (n, h, w)
    return View(class_logits, LazyMasks(torch.eye(len(logits)), logits, batch_shape, **geometry))


def area_weights(small: int, batch: int, image: int, original: int) -> Tensor:
    """What takes, along an axis, the mean of a map of the original image over each pixel of the mask features.

    Args:
        small: Size of the mask features.
        batch: Size of the padded input that they cover.
        image: Size of the image within it.
        original: Original size of the image.

    Returns:
        Tensor: ``(small, original)``; each row sums up to 1. Pixels over the padding alone are as the last ones over
        the image.
    """
    edges = np.minimum(np.arange(small + 1) * batch / small, image) * original / image
    pixels = np.arange(original)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    overlap = np.maximum(overlap, 0)  # (small, original)
    inside = np.flatnonzero(overlap.sum(axis=1) > 0)
    overlap = overlap[np.minimum(np.arange(small), inside[-1])]
    return torch.from_numpy(overlap / overlap.sum(axis=1, keepdims=True)).float()


class _WholeMasks(LazyMasks):
    """Masks whose features are of the original size: nothing is resized, and every query has a map of its own."""

    def low_resolution(self, queries: Tensor, axis: int) -> LowResolutionMasks:
        """See :meth:`LazyMasks.low_resolution`."""
        logits = self.mask_features[queries].permute(axis + 1, 0, 2 - axis).contiguous()  # (H, n, W) or (W, n, H)
        return _WholeStrips(logits, self._resize(axis), self._resize(1 - axis))


class _WholeStrips(LowResolutionMasks):
    def strip(self, strip: slice, query_index: Tensor | None = None) -> Tensor:
        logits = self.logits[strip]
        return logits.clone() if query_index is None else logits.index_select(1, query_index)
