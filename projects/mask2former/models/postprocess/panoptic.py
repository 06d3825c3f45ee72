"""Panoptic fusion (Cheng et al., MaskFormer, section 3.4)."""

from collections.abc import Sequence

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from torch import Tensor

from mask2former.ops.reductions import argmax_of_middle_
from mask2former.registry import TASK_UTILS

from .lazy_masks import LazyMasks


@TASK_UTILS.register_module()
class PanopticFusion:
    """Each pixel goes to the query with the highest class score times mask probability; weak segments are dropped.

    Args:
        score_thr (float): Queries of a lower class score are left out. Defaults to 0.8.
        overlap_thr (float): A segment is kept if it keeps this share of its query's mask. Defaults to 0.8.
    """

    def __init__(self, score_thr: float = 0.8, overlap_thr: float = 0.8) -> None:
        self.score_thr = score_thr
        self.overlap_thr = overlap_thr

    def __call__(self, class_logits: Tensor, masks: LazyMasks, isthing: Sequence[bool], sample: DetDataSample) -> None:
        """Set ``sample.pred_panoptic_seg``.

        Args:
            class_logits (Tensor): (Q, K + 1).
            masks (LazyMasks): Masks of the image.
            isthing (Sequence[bool]): Of every class, whether it is a thing. Segments of one stuff class are merged.
            sample (DetDataSample): Where the result goes.
        """
        scores, labels = class_logits.softmax(-1).max(-1)  # (Q,)
        kept = ((labels != len(isthing)) & (scores > self.score_thr)).nonzero().flatten()  # (n,)
        labels, scores = labels[kept], scores[kept]
        owners, owned_area, visible_area, mask_area = self.assign_pixels(scores, kept, masks)
        valid = (mask_area > 0) & (visible_area > 0) & (owned_area >= self.overlap_thr * mask_area)
        things = torch.tensor(isthing, dtype=torch.bool, device=labels.device)[labels]
        segment_ids, is_first = number_segments(valid, labels, things)

        # An owner's pixels outside its own mask are void.
        ids = torch.stack((torch.zeros_like(segment_ids), segment_ids), dim=1).flatten()  # (2n,)
        id_map = ids.index_select(0, owners.flatten()).view(masks.ori_shape) if len(kept) else owners
        found = torch.stack((segment_ids.to(scores), labels.to(scores), scores), dim=1)[is_first].tolist()
        segments_info = [
            dict(id=int(number), label=int(label), isthing=isthing[int(label)], score=score)
            for number, label, score in found
        ]
        sample.pred_panoptic_seg = PixelData(id_map=id_map[None], metainfo=dict(segments_info=segments_info))

    @staticmethod
    def assign_pixels(scores: Tensor, kept: Tensor, masks: LazyMasks) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give each pixel to the kept query with the highest score times mask probability.

        Args:
            scores (Tensor): (n,), of the kept queries.
            kept (Tensor): (n,), the queries that take part.
            masks (LazyMasks): Masks of the image.

        Returns:
            tuple: Of each pixel (H, W) int32, twice the position in ``kept`` of its owner, plus one where the pixel is
            inside the owner's mask; and of each query (n,) int64 the area that it owns, the part of that inside its
            mask, and the area of its mask.
        """
        n = len(kept)
        owners = torch.zeros(masks.ori_shape, dtype=torch.int32, device=scores.device)
        areas = kept.new_zeros(2 * n)
        mask_area = torch.zeros_like(kept)
        for rows, logits in masks.rows(kept):  # (rows, n, W)
            probability = logits.sigmoid_()
            owner = argmax_of_middle_(scores[:, None] * probability)[:, None]  # (rows, 1, W)
            inside = probability.ge_(0.5)  # as numbers: sums of bool are slow
            mask_area += inside.sum(2).long().sum(0)
            owner = 2 * owner + inside.gather(1, owner).long()
            areas.scatter_add_(0, owner.flatten(), owner.new_ones(1).expand(owner.numel()))
            owners[rows] = owner[:, 0]
        outside_area, visible_area = areas.view(n, 2).unbind(1)
        return owners, outside_area + visible_area, visible_area, mask_area


def number_segments(valid: Tensor, labels: Tensor, things: Tensor) -> tuple[Tensor, Tensor]:
    """Number the segments from 1 on, in the order of the queries; segments of one stuff class share the first's number.

    Args:
        valid (Tensor): (n,) bool, the queries that are kept as segments.
        labels (Tensor): (n,).
        things (Tensor): (n,) bool.

    Returns:
        tuple: The number (n,) int32 of each query's segment, 0 where it has none; and whether the query is the first
        or the only one of its segment, (n,) bool.
    """
    joined = (labels[:, None] == labels) & ~things & valid  # (n, n): the queries j that query i shares a segment with
    is_first = valid & (things | ~joined.tril(-1).any(1))
    numbers = is_first.cumsum(0, dtype=torch.int32)
    # The number of queries counted up to the first of the segment: the largest of its first's, the others count none.
    shared = torch.where(joined & is_first, numbers, 0)  # (n, n)
    return torch.where(things, numbers, shared.sum(1, dtype=torch.int32)) * valid, is_first
