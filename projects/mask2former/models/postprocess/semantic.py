"""Semantic results by marginalising over queries (Cheng et al., MaskFormer, section 3.4)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from torch import Tensor

from mask2former.errors import ConfigError
from mask2former.ops.linear import linear
from mask2former.ops.reductions import argmax_of_middle_
from mask2former.registry import TASK_UTILS

from .axis_resize import AxisResize
from .lazy_masks import LazyMasks, MaskLines
from .view import View


@TASK_UTILS.register_module()
class SemanticInference:
    """The class of a pixel has the highest sum, over queries, of class probability times mask probability.

    Args:
        resize (str): What is brought to the original size. 'masks', from which the scores are computed there, as the
            reference does for a model that gives panoptic or instance results, too; or 'scores', computed at the
            input's size, as the reference does for a model that gives semantic results alone.

    Raises:
        ConfigError: If ``resize`` is anything else.
    """

    def __init__(self, resize: str = 'masks') -> None:
        if resize not in ('masks', 'scores'):
            raise ConfigError(f"SemanticInference: resize must be 'masks' or 'scores', not {resize!r}.")
        self.lines_of = _ScoreLines if resize == 'masks' else _ResizedScoreLines

    def __call__(self, class_logits: Tensor, masks: LazyMasks, isthing: Sequence[bool], sample: DetDataSample) -> None:
        """Set ``sample.pred_sem_seg``.

        Args:
            class_logits (Tensor): (Q, K + 1).
            masks (LazyMasks): Masks of the image.
            isthing (Sequence[bool]): Not needed here; every postprocessor is called alike.
            sample (DetDataSample): Where the result goes.
        """
        self.merge_views([View(class_logits, masks)], sample)

    def merge_views(self, views: Iterable[View], sample: DetDataSample) -> None:
        """Set ``sample.pred_sem_seg`` by the mean, at each pixel, of the class scores of the views that have the pixel.

        Queries of one view need none in another. A view is taken from the iterable when the rows it begins with are
        due, and let go after its last ones.

        Args:
            views (Iterable[View]): One at least, in the order of their first rows; together they cover the image.
            sample (DetDataSample): Where the result goes.
        """
        coming = map(self.lines_of, views)
        upcoming = next(coming)
        masks, active = upcoming.view.masks, []
        H, W = masks.ori_shape
        sem_seg = torch.empty((H, W), dtype=torch.long, device=masks.mask_features.device)
        for band in masks.bands(0, len(masks.mask_embed), slice(0, H)):
            while upcoming is not None and upcoming.rows.start < band.stop:
                active.append(upcoming)
                upcoming = next(coming, None)
            active = [view for view in active if view.rows.stop > band.start]
            total = None
            for view in active:
                rows = slice(max(band.start, view.rows.start), min(band.stop, view.rows.stop))
                scores = view.scores(rows)  # (K, rows, columns)
                if total is None and scores.shape[1:] == (band.stop - band.start, W):
                    total = scores
                    continue
                if total is None:
                    total = scores.new_zeros(len(scores), band.stop - band.start, W)
                total[:, rows.start - band.start : rows.stop - band.start, view.columns].add_(scores)
            sem_seg[band] = argmax_of_middle_(total.flatten(1)[None]).view(-1, W)
        sample.pred_sem_seg = PixelData(sem_seg=sem_seg[None])


class _ScoreLines:
    """Class scores of a view, a band of rows at a time."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.rows, self.columns = view.masks.covers(0), view.masks.covers(1)
        self.probability = view.class_logits.softmax(-1)[:, :-1]  # (Q, K)
        self.lines = self._lines(view.masks)

    def _lines(self, masks: LazyMasks) -> MaskLines:
        return masks.lines(torch.arange(len(self.probability), device=self.probability.device), 0)

    def scores(self, rows: slice) -> Tensor:
        """(K, rows, columns) of the columns that the view has, times its share; may be written to."""
        scores = self._scores(rows)
        if self.view.shares is not None:
            down, across = self.view.shares
            scores.mul_(down[rows, None]).mul_(across[self.columns])
        return scores

    def _scores(self, rows: slice) -> Tensor:
        logits = self.lines.logits(rows)  # (rows, Q, columns)
        scores = linear(self.probability.T, logits.sigmoid_().transpose(0, 1).flatten(1).T)  # (K, rows * columns)
        return scores.view(len(scores), logits.shape[0], logits.shape[2])


class _ResizedScoreLines(_ScoreLines):
    """The same, computed at the input's size and resized bilinearly."""

    def _lines(self, masks: LazyMasks) -> MaskLines:
        window = masks.window or ((0, masks.img_shape[0]), (0, masks.img_shape[1]))
        self.first = window[0][0]
        self.down, self.across = (
            AxisResize(
                end - start,
                end - start,
                masks.img_shape[axis],
                masks.ori_shape[axis],
                like=masks.mask_features,
                flip=masks.flips[axis],
                window=(start, end),
            )
            for axis, (start, end) in enumerate(window)
        )
        self.at = slice(0, 0)  # rows of the window whose scores are kept, for bands share the rows at their edges
        self.kept: Tensor | None = None  # (K, those rows, columns)
        return super()._lines(replace(masks, ori_shape=masks.img_shape, flips=(False, False)))

    def _scores(self, rows: slice) -> Tensor:
        inputs, weights = self.down.columns(rows.start, rows.stop)  # weights (inputs, rows)
        # Bands go down the image as it came, so up the input where that is flipped.
        start, stop = max(inputs.start, self.at.start), min(inputs.stop, self.at.stop)
        if start < stop:
            parts = [
                self._across(inputs.start, start),
                self.kept[:, start - self.at.start : stop - self.at.start],
                self._across(stop, inputs.stop),
            ]
            self.kept = torch.cat([part for part in parts if part is not None], dim=1)
        else:
            self.kept = self._across(inputs.start, inputs.stop)
        self.at = inputs
        return weights.T @ self.kept  # (rows, inputs) @ (K, inputs, columns)

    def _across(self, start: int, stop: int) -> Tensor | None:
        """Scores (K, rows, columns) of some rows of the window, resized along the columns; None of none."""
        if start == stop:
            return None
        scores = super()._scores(slice(start + self.first, stop + self.first))  # (K, rows, window's columns)
        return self.across.last_axis(scores.flatten(0, 1)).view(*scores.shape[:2], -1)
