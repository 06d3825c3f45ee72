"""From the views of an image to its results."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from mask2former.models.masks import LazyMasks, Masks, MeanMasks
from mask2former.ops.assignment import linear_sum_assignment
from mask2former.ops.linear import linear


class View(NamedTuple):
    """The last decoder output for one input made of an image: as it is, flipped, resized, or a window of it.

    Attributes:
        class_logits: (Q, K + 1).
        masks: Its masks, on the original image.
        weights: Weights of this view at the rows (H,) and at the columns (W,) of the original image; a pixel's weight
            is their product. By default 1.
    """

    class_logits: Tensor
    masks: LazyMasks
    weights: tuple[Tensor, Tensor] | None = None


class Postprocessor(Protocol):
    """Sets a result of one set of queries on a data sample.

    Its class may say which field that is, ``predicts = 'pred_instances'``: then a metric of another one is refused
    before the training.
    """

    def __call__(self, class_logits: Tensor, masks: Masks, isthing: Sequence[bool], sample: DetDataSample) -> None:
        """Of class logits (Q, K + 1) and masks; ``isthing`` says of every class whether it is a thing."""


@runtime_checkable
class ViewMerger(Protocol):
    """Sets a result of all views of an image on a data sample: a postprocessor that needs no matching queries."""

    def merge_views(self, views: Iterable[View], sample: DetDataSample) -> None:
        """Of one view or more, in the order of their first rows; they are taken when they are due, and let go soon."""


def merge(
    postprocessors: Sequence[Postprocessor | ViewMerger],
    views: Iterable[View],
    isthing: Sequence[bool],
    sample: DetDataSample,
    min_iou: float | None,
) -> None:
    """Run the postprocessors on the views of an image.

    A :class:`ViewMerger` gets all the views. The others get one set of queries, see :func:`match_views`.

    Args:
        postprocessors: The postprocessors.
        views: In the order of their first rows. For a single :class:`ViewMerger` they need not exist together.
        isthing: Of every class, whether it is a thing.
        sample: Where the results go.
        min_iou: For :func:`match_views`.
    """
    matched: tuple[Tensor, Masks] | None = None
    if not (len(postprocessors) == 1 and isinstance(postprocessors[0], ViewMerger)):
        views = list(views)
    for postprocessor in postprocessors:
        if isinstance(postprocessor, ViewMerger):
            postprocessor.merge_views(views, sample)
        else:
            matched = matched or match_views(list(views), min_iou)
            postprocessor(*matched, isthing, sample)


def match_views(views: Sequence[View], min_iou: float | None) -> tuple[Tensor, Masks]:
    """Class logits (Q, K + 1) and masks of several views together; of one view, those that it has.

    The queries are the first view's. Each other view's queries are matched to them one to one, so that the sum of
    mask IoU times the agreement of the class probabilities (their Bhattacharyya coefficient) is largest. Pairs with at
    least ``min_iou``, which one view alone does not need, are the same segment: their class probabilities and mask
    probabilities are averaged.
    """
    first = views[0]
    if len(views) == 1:
        return first.class_logits, first.masks
    if min_iou is None:
        raise ValueError('queries of several views are matched by a min_iou')
    H, W = first.masks.img_shape
    grid = (-(-H // 4), -(-W // 4))
    probability = first.class_logits.softmax(-1)  # (Q, K + 1)
    inside = _binary_masks(first.masks, grid)
    count = probability.new_ones(len(probability), 1)
    queries = [torch.arange(len(probability), device=probability.device)]
    mean = probability.clone()
    for view in views[1:]:
        other = view.class_logits.softmax(-1)
        iou = _iou(inside, _binary_masks(view.masks, grid))  # (Q, Q)
        gain = iou * (probability.sqrt() @ other.sqrt().T)
        pairs = linear_sum_assignment(gain.cpu().numpy(), maximize=True)
        ours, theirs = (torch.from_numpy(side).to(iou.device) for side in pairs)
        same = iou[ours, theirs] >= min_iou
        ours, theirs = ours[same], theirs[same]
        matches = torch.full_like(queries[0], -1)
        matches[ours] = theirs
        queries.append(matches)
        mean[ours] += other[theirs]
        count[ours] += 1
    return (mean / count).log(), MeanMasks([view.masks for view in views], queries)


def _binary_masks(masks: LazyMasks, grid: tuple[int, int]) -> Tensor:
    """Where the masks are positive, as numbers (Q, pixels) on a small grid."""
    queries = torch.arange(len(masks.mask_embed), device=masks.mask_embed.device)
    strips = [logits.gt_(0) for _, logits in replace(masks, ori_shape=grid).rows(queries)]  # (rows, Q, columns) each
    return torch.cat(strips).transpose(0, 1).flatten(1)


def _iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of masks (n, pixels) and (m, pixels) of zeros and ones: (n, m); 0 where both are empty."""
    both = linear(a, b)
    return both / (a.sum(1)[:, None] + b.sum(1) - both).clamp(min=1)
