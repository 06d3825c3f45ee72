"""One set of queries for several views of an image: class and mask probabilities of matching queries are averaged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mask2former.ops.linear import linear

from .lazy_masks import LazyMasks, MaskLines
from .view import View


@dataclass
class MeanMasks:
    """Masks whose probabilities are means over views; to postprocessors it is what :class:`LazyMasks` is.

    Attributes:
        views (Sequence[LazyMasks]): Masks of the V views. The first one's queries are the queries of the result.
        queries (Sequence[Tensor]): Of each view (Q,) int64: which of its queries goes with each query of the first
            view, or -1 if none does, and the mean is over the other views.
    """

    views: Sequence[LazyMasks]
    queries: Sequence[Tensor]

    @property
    def ori_shape(self) -> tuple[int, int]:
        """Size (H, W) of the masks."""
        return self.views[0].ori_shape

    def rows(self, index: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """As :meth:`LazyMasks.rows`."""
        parts = self._parts(index, 0)
        every = torch.arange(len(index), device=index.device)
        for band in self.views[0].bands(0, len(index)):
            yield band, _mean_logits(parts, band, every)

    def columns(self, index: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """As :meth:`LazyMasks.columns`."""
        parts = self._parts(index, 1)
        positive = [part.lines.positive() for part in parts]
        together = max(int(values.sum(1).max()) for values in positive)
        for band in self.views[0].bands(1, together):
            # A mean above a half has a term above it.
            maybe = torch.zeros(len(index), dtype=torch.bool)
            for part, values in zip(parts, positive):
                maybe[part.members.cpu()[part.lines.places(band, values)]] = True
            places = maybe.nonzero().flatten()
            for some in places.split(together) if len(places) else ():
                yield band, some, _mean_logits(parts, band, some.to(index.device))

    def _parts(self, index: Tensor, axis: int) -> list['_Part']:
        parts = []
        for masks, queries in zip(self.views, self.queries):
            found = queries[index]
            members = (found >= 0).nonzero().flatten()
            if len(members) or not parts:
                positions = torch.full_like(index, -1)
                positions[members] = torch.arange(len(members), device=index.device)
                parts.append(_Part(masks.lines(found[members], axis), members, positions))
        return parts


@dataclass
class _Part:
    """A view's masks (m) of those that are asked for (n), the places of these among those, and the reverse."""

    lines: MaskLines
    members: Tensor  # (m,)
    positions: Tensor  # (n,), -1 where the view has none


def _mean_logits(parts: Sequence[_Part], band: slice, places: Tensor) -> Tensor:
    """Logits (lines, n', L) of the mean probabilities of the masks ``places`` (n',)."""
    total, count = None, torch.zeros_like(places)
    for part in parts:
        positions = part.positions[places]
        members = (positions >= 0).nonzero().flatten()
        probability = part.lines.logits(band, positions[members]).sigmoid_()
        count[members] += 1
        if total is None:  # the first view has all
            total = probability
        else:
            total.index_add_(1, members, probability)
    return total.div_(count[:, None]).logit_(torch.finfo(total.dtype).eps)


def match_views(views: Sequence[View], min_iou: float) -> tuple[Tensor, LazyMasks | MeanMasks]:
    """Class logits (Q, K + 1) and masks of several views together; of one view, those that it has.

    The queries are the first view's. Each other view's queries are matched to them one to one, so that the sum of
    mask IoU times the agreement of the class probabilities (their Bhattacharyya coefficient) is largest. Pairs with at
    least ``min_iou`` are the same segment: their class probabilities and mask probabilities are averaged.
    """
    first = views[0]
    if len(views) == 1:
        return first.class_logits, first.masks
    grid = tuple(-(-size // 4) for size in first.masks.img_shape)
    probability = first.class_logits.softmax(-1)  # (Q, K + 1)
    inside = _binary(first.masks, grid)
    count = probability.new_ones(len(probability), 1)
    queries = [torch.arange(len(probability), device=probability.device)]
    mean = probability.clone()
    for view in views[1:]:
        other = view.class_logits.softmax(-1)
        iou = _iou(inside, _binary(view.masks, grid))  # (Q, Q)
        gain = iou * (probability.sqrt() @ other.sqrt().T)
        pairs = linear_sum_assignment(gain.cpu().numpy(), maximize=True)
        ours, theirs = (torch.from_numpy(side).to(iou.device) for side in pairs)
        same = iou[ours, theirs] >= min_iou
        ours, theirs = ours[same], theirs[same]
        found = torch.full_like(queries[0], -1)
        found[ours] = theirs
        queries.append(found)
        mean[ours] += other[theirs]
        count[ours] += 1
    return (mean / count).log(), MeanMasks([view.masks for view in views], queries)


def _binary(masks: LazyMasks, grid: tuple[int, int]) -> Tensor:
    """Where the masks are positive, as numbers (Q, pixels) on a small grid."""
    every = torch.arange(len(masks.mask_embed), device=masks.mask_embed.device)
    bands = [logits.gt_(0) for _, logits in replace(masks, ori_shape=grid).rows(every)]  # (rows, Q, columns) each
    return torch.cat(bands).transpose(0, 1).flatten(1)


def _iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of masks (n, pixels) and (m, pixels) of zeros and ones: (n, m); 0 where both are empty."""
    both = linear(a, b)
    return both / (a.sum(1)[:, None] + b.sum(1) - both).clamp(min=1)
