"""Panoptic fusion (Cheng et al., MaskFormer, section 3.4); see also :mod:`.plain`."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from torch import Tensor

from mask2former.models.masks import Masks
from mask2former.ops.reductions import argmax_of_middle_
from mask2former.registry import TASK_UTILS


@TASK_UTILS.register_module()
class PanopticFusion:
    """Each pixel goes to the query with the highest class score times mask probability; weak segments are dropped.

    Args:
        score_thr: Queries of a lower class score are left out.
        overlap_thr: A segment is kept if at least this share of its query's mask is assigned to the query.
        inside_mask: Whether a segment has only those of its query's pixels that are inside the query's mask, and the
            others are void; or all, as in MaskFormer.
    """

    predicts = 'pred_panoptic_seg'

    def __init__(self, score_thr: float = 0.8, overlap_thr: float = 0.8, inside_mask: bool = True) -> None:
        self.score_thr = score_thr
        self.overlap_thr = overlap_thr
        self.inside_mask = inside_mask

    def __call__(self, class_logits: Tensor, masks: Masks, isthing: Sequence[bool], sample: DetDataSample) -> None:
        """Set ``sample.pred_panoptic_seg``.

        Args:
            class_logits: (Q, K + 1).
            masks: Masks of the image.
            isthing: Of every class, whether it is a thing. Segments of one stuff class are merged.
            sample: Where the result goes.
        """
        [id_map], segments = self.fuse(class_logits, [masks], isthing)
        segments_info = [{key: segment[key] for key in ('id', 'label', 'isthing', 'score')} for segment in segments]
        sample.pred_panoptic_seg = PixelData(id_map=id_map[None], metainfo=dict(segments_info=segments_info))

    def fuse(
        self, class_logits: Tensor, frames: Sequence[Masks], isthing: Sequence[bool]
    ) -> tuple[list[Tensor], list[dict]]:
        """Segments of several frames whose queries are the same; an image is one.

        Areas are those of all frames together: a segment is dropped from all of them or from none.

        Args:
            class_logits: (Q, K + 1).
            frames: Masks of each of the T frames.
            isthing: Of every class, whether it is a thing.

        Returns:
            tuple: T maps (H, W) int32, 0 is void, and ``dict(id, label, isthing, score, query)`` of each segment, with
            the first of its queries.
        """
        scores, labels = class_logits.softmax(-1).max(-1)  # (Q,)
        kept = ((labels != len(isthing)) & (scores > self.score_thr)).nonzero().flatten()  # (n,)
        labels, scores = labels[kept], scores[kept]
        assignments, of_frames = zip(*(self.assign_pixels(scores, kept, masks) for masks in frames))
        areas = Areas(*(sum(values[1:], values[0]) for values in zip(*of_frames)))
        painted = areas.visible if self.inside_mask else areas.assigned
        valid = (areas.mask > 0) & (painted > 0) & (areas.assigned >= self.overlap_thr * areas.mask)
        things = torch.tensor(isthing, dtype=torch.bool, device=labels.device)[labels]
        segment_ids, is_first = number_segments(valid, labels, things)

        outside_ids = torch.zeros_like(segment_ids) if self.inside_mask else segment_ids
        ids = torch.stack((outside_ids, segment_ids), dim=1).flatten()  # (2n,)
        id_maps = [
            ids.index_select(0, assignment.flatten()).view(assignment.shape) if len(kept) else assignment
            for assignment in assignments
        ]
        columns = (segment_ids.to(scores), labels.to(scores), scores, kept.to(scores))
        segments = [
            dict(id=int(number), label=int(label), isthing=isthing[int(label)], score=score, query=int(query))
            for number, label, score, query in torch.stack(columns, dim=1)[is_first].tolist()
        ]
        return id_maps, segments

    @staticmethod
    def assign_pixels(scores: Tensor, kept: Tensor, masks: Masks) -> tuple[Tensor, 'Areas']:
        """Assign each pixel to the kept query with the highest score times mask probability.

        Args:
            scores: (n,), of the kept queries.
            kept: (n,), the queries that take part.
            masks: Masks of the image.

        Returns:
            tuple: Of each pixel (H, W) int32, twice the position in ``kept`` of its query, plus one where the pixel is
            inside the query's mask; and the areas of the queries.
        """
        n = len(kept)
        assignment = torch.zeros(masks.ori_shape, dtype=torch.int32, device=scores.device)
        counts = kept.new_zeros(2 * n)
        mask_area = torch.zeros_like(kept)
        for rows, logits in masks.rows(kept):  # (rows, n, W)
            probability = logits.sigmoid_()
            query = argmax_of_middle_(scores[:, None] * probability)[:, None]  # (rows, 1, W)
            inside = probability.ge_(0.5)  # as numbers: sums of bool are slow
            mask_area += inside.sum(2).long().sum(0)
            assigned = 2 * query + inside.gather(1, query).long()
            counts.scatter_add_(0, assigned.flatten(), assigned.new_ones(1).expand(assigned.numel()))
            assignment[rows] = assigned[:, 0]
        outside, visible = counts.view(n, 2).unbind(1)
        return assignment, Areas(outside + visible, visible, mask_area)


class Areas(NamedTuple):
    """Areas of n queries in pixels, each (n,) int64."""

    assigned: Tensor  # of what is assigned to the query
    visible: Tensor  # of that, inside its mask
    mask: Tensor  # of its mask


def number_segments(valid: Tensor, labels: Tensor, things: Tensor) -> tuple[Tensor, Tensor]:
    """Number the segments from 1 on, in the order of the queries; segments of one stuff class share the first's number.

    Args:
        valid: (n,) bool, the queries that are kept as segments.
        labels: (n,).
        things: (n,) bool.

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
