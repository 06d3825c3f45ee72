"""Panoptic fusion (Cheng et al., MaskFormer, section 3.4)."""

from collections.abc import Sequence

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from torch import Tensor

from ...registry import TASK_UTILS
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
        owner, inside, mask_area = self.assign_pixels(scores, kept, masks)
        n = len(kept)
        owned_area = torch.bincount(owner.flatten(), minlength=n)[:n]
        visible_area = torch.bincount(owner[inside], minlength=n)[:n]
        valid = (mask_area > 0) & (visible_area > 0) & (owned_area >= self.overlap_thr * mask_area)

        segment_ids, segments_info = [], []
        stuff_ids: dict[int, int] = {}
        values = zip(valid.tolist(), labels[kept].tolist(), scores[kept].tolist())
        for is_valid, label, score in values:
            if not is_valid:
                segment_ids.append(0)
                continue
            if label in stuff_ids:
                segment_ids.append(stuff_ids[label])
                continue
            segment_id = len(segments_info) + 1
            if not isthing[label]:
                stuff_ids[label] = segment_id
            segment_ids.append(segment_id)
            segments_info.append(dict(id=segment_id, label=label, isthing=isthing[label], score=score))

        # One more entry than kept queries, so that an image without any has an owner, too: nothing.
        lookup = torch.tensor(segment_ids + [0], dtype=torch.int32, device=owner.device)
        id_map = torch.where(inside, lookup[owner], 0)
        sample.pred_panoptic_seg = PixelData(id_map=id_map[None], metainfo=dict(segments_info=segments_info))

    @staticmethod
    def assign_pixels(scores: Tensor, kept: Tensor, masks: LazyMasks) -> tuple[Tensor, Tensor, Tensor]:
        """Give each pixel to the kept query with the highest score times mask probability.

        Args:
            scores (Tensor): (Q,).
            kept (Tensor): (n,), the queries that take part.
            masks (LazyMasks): Masks of the image.

        Returns:
            tuple: The position (H, W) in ``kept`` of each pixel's owner, whether the pixel is inside the owner's mask
            (H, W), and the area (n,) of every query's own mask.
        """
        H, W = masks.ori_shape
        best = scores.new_full((H, W), -1.0)
        owner = torch.full((H, W), len(kept), dtype=torch.long, device=scores.device)
        inside = torch.zeros((H, W), dtype=torch.bool, device=scores.device)
        areas, start = [], 0
        for index, logits in masks.chunks(kept):
            probability = logits.sigmoid()
            value, position = (scores[index, None, None] * probability).max(0)  # (H, W)
            is_inside = (probability >= 0.5).flatten(1)  # (n', H*W)
            areas.append(is_inside.sum(1))
            better = value > best
            best = torch.where(better, value, best)
            owner = torch.where(better, position + start, owner)
            inside = torch.where(better, is_inside.gather(0, position.flatten()[None]).view(H, W), inside)
            start += len(index)
        return owner, inside, torch.cat(areas) if areas else kept.new_zeros(0)
