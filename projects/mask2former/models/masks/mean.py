"""Masks whose probabilities are means over several views of an image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .lazy import LazyMasks, LowResolutionMasks


@dataclass
class MeanMasks:
    """:class:`Masks` whose probabilities are means over V views.

    Attributes:
        views: Masks of the views. The first one's queries are the queries of the result.
        queries: Of each view (Q,) int64: which of its queries goes with each query of the first view, or -1 if none
            does, and the mean is over the other views.
    """

    views: Sequence[LazyMasks]
    queries: Sequence[Tensor]

    @property
    def ori_shape(self) -> tuple[int, int]:
        """Original size (H, W) of the image, and of the masks."""
        return self.views[0].ori_shape

    def rows(self, queries: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """As :meth:`Masks.rows`."""
        views = self._matched_masks(queries, 0)
        all_of_them = torch.arange(len(queries), device=queries.device)
        for rows in self.views[0].strips(0, len(queries)):
            yield rows, _mean_logits(views, rows, all_of_them)

    def columns(self, queries: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """As :meth:`Masks.columns`."""
        views = self._matched_masks(queries, 1)
        positive = [view.low.positive() for view in views]
        most = max(int(values.sum(1).max()) for values in positive)
        for columns in self.views[0].strips(1, most):
            # A mean above a half has a term above it.
            maybe = torch.zeros(len(queries), dtype=torch.bool)
            for view, values in zip(views, positive):
                maybe[view.members.cpu()[view.low.maybe_positive(columns, values)]] = True
            query_index = maybe.nonzero().flatten()
            for some in query_index.split(most) if len(query_index) else ():
                yield columns, some, _mean_logits(views, columns, some.to(queries.device))

    def _matched_masks(self, queries: Tensor, axis: int) -> list['_MatchedMasks']:
        """The masks of the views that match any of ``queries``; the first view, which has them all, comes first."""
        views: list[_MatchedMasks] = []
        for masks, matches in zip(self.views, self.queries):
            matched = matches[queries]
            members = (matched >= 0).nonzero().flatten()
            if len(members) or not views:
                positions = torch.full_like(queries, -1)
                positions[members] = torch.arange(len(members), device=queries.device)
                views.append(_MatchedMasks(masks.low_resolution(matched[members], axis), members, positions))
        return views


@dataclass
class _MatchedMasks:
    """A view's masks that match m of n queries.

    Attributes:
        low: The m masks.
        members: (m,), which of the n queries each matches.
        positions: (n,), which of the m masks matches each query; -1 where none does.
    """

    low: LowResolutionMasks
    members: Tensor
    positions: Tensor


def _mean_logits(views: Sequence[_MatchedMasks], strip: slice, query_index: Tensor) -> Tensor:
    """Logits (strip, n', L) of the mean probabilities of the masks that match ``query_index`` (n',)."""
    first, *others = views
    total = first.low.strip(strip, query_index).sigmoid_()
    count = torch.ones_like(query_index)
    for view in others:
        positions = view.positions[query_index]
        members = (positions >= 0).nonzero().flatten()
        count[members] += 1
        total.index_add_(1, members, view.low.strip(strip, positions[members]).sigmoid_())
    return total.div_(count[:, None]).logit_(torch.finfo(total.dtype).eps)
