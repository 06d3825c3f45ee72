"""Semantic results by marginalising over queries (Cheng et al., MaskFormer, section 3.4); see also :mod:`.plain`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from torch import Tensor

from mask2former.errors import ConfigError
from mask2former.models.masks import LazyMasks
from mask2former.models.masks.axis_resize import AxisResize
from mask2former.models.masks.rolling_rows import RollingRows
from mask2former.ops.linear import linear
from mask2former.ops.reductions import argmax_of_middle_
from mask2former.registry import TASK_UTILS

from .certain_classes import semantic_map
from .merge import View


@TASK_UTILS.register_module()
class SemanticInference:
    """The class of a pixel has the highest sum, over queries, of class probability times mask probability.

    Args:
        resize: What is brought to the original size. 'masks', from which the scores are computed there, as the
            reference does for a model that gives panoptic or instance results, too; or 'scores', computed at the
            input's size, as the reference does for a model that gives semantic results alone.

    Raises:
        ConfigError: If ``resize`` is anything else.
    """

    predicts = 'pred_sem_seg'

    def __init__(self, resize: str = 'masks') -> None:
        if resize not in ('masks', 'scores'):
            raise ConfigError(f"SemanticInference: resize must be 'masks' or 'scores', not {resize!r}.")
        self.resize = resize
        self.class_scores = class_scores if resize == 'masks' else resized_class_scores

    def __call__(self, class_logits: Tensor, masks: LazyMasks, isthing: Sequence[bool], sample: DetDataSample) -> None:
        """Set ``sample.pred_sem_seg``.

        Args:
            class_logits: (Q, K + 1).
            masks: Masks of the image.
            isthing: Not needed here; every postprocessor is called alike.
            sample: Where the result goes.
        """
        sample.pred_sem_seg = PixelData(sem_seg=self.labels(class_logits, masks)[None])

    def labels(self, class_logits: Tensor, masks: LazyMasks) -> Tensor:
        """The map (H, W) int64 of the classes; arguments as above."""
        if self.resize == 'masks' and masks.window is None:
            return semantic_map(class_logits, masks)
        return self._merged([View(class_logits, masks)])

    def merge_views(self, views: Iterable[View], sample: DetDataSample) -> None:
        """Set ``sample.pred_sem_seg`` by the mean, at each pixel, of the class scores of the views that have the pixel.

        Queries of one view need none in another. A view is taken from the iterable when the rows it begins with are
        due, and let go after its last ones.

        Args:
            views: One at least, in the order of their first rows; together they cover the image.
            sample: Where the result goes.
        """
        sample.pred_sem_seg = PixelData(sem_seg=self._merged(views)[None])

    def _merged(self, views: Iterable[View]) -> Tensor:
        waiting = (_ViewScores(view, self.class_scores) for view in views)
        upcoming, active = next(waiting, None), []
        assert upcoming is not None
        masks = upcoming.masks
        H, W = masks.ori_shape
        sem_seg = torch.empty((H, W), dtype=torch.long, device=masks.mask_features.device)
        for strip in masks.strips(0, len(masks.mask_embed), slice(0, H)):
            while upcoming is not None and upcoming.rows.start < strip.stop:
                active.append(upcoming)
                upcoming = next(waiting, None)
            active = [view for view in active if view.rows.stop > strip.start]
            total = None
            for view in active:
                rows = slice(max(strip.start, view.rows.start), min(strip.stop, view.rows.stop))
                scores = view.scores(rows)  # (K, rows, columns)
                if total is None and scores.shape[1:] == (strip.stop - strip.start, W):
                    total = scores
                    continue
                if total is None:
                    total = scores.new_zeros(len(scores), strip.stop - strip.start, W)
                total[:, rows.start - strip.start : rows.stop - strip.start, view.columns].add_(scores)
            assert total is not None
            sem_seg[strip] = argmax_of_middle_(total.flatten(1)[None]).view(-1, W)
        return sem_seg


@TASK_UTILS.register_module()
class PerPixelInference(SemanticInference):
    """The class of a pixel is that of the highest mask logit, where every query stands for a class (section 3.1)."""

    def __init__(self) -> None:
        super().__init__()
        self.resize = 'logits'
        self.class_scores = class_masks


class _ViewScores:
    """Class scores of a view, a strip of rows at a time."""

    def __init__(self, view: View, class_scores: Callable[[Tensor, LazyMasks], Callable[[slice], Tensor]]) -> None:
        self.masks, self.weights = view.masks, view.weights
        self.rows, self.columns = view.masks.extent(0), view.masks.extent(1)
        self.unweighted = class_scores(view.class_logits, view.masks)

    def scores(self, rows: slice) -> Tensor:
        """(K, rows, columns) of the columns that the view has, times its weights; may be written to."""
        scores = self.unweighted(rows)
        if self.weights is not None:
            down, across = self.weights
            scores.mul_(down[rows, None]).mul_(across[self.columns])
        return scores


def class_scores(class_logits: Tensor, masks: LazyMasks) -> Callable[[slice], Tensor]:
    """What computes class scores (K, rows, columns) of a strip of rows of the original image, from resized masks."""
    probability = class_logits.softmax(-1)[:, :-1]  # (Q, K)
    low = masks.low_resolution(torch.arange(len(probability), device=probability.device), 0)

    def scores_of(rows: slice) -> Tensor:
        logits = low.strip(rows)  # (rows, Q, columns)
        scores = linear(probability.T, logits.sigmoid_().transpose(0, 1).flatten(1).T)  # (K, rows * columns)
        return scores.view(len(scores), logits.shape[0], logits.shape[2])

    return scores_of


def resized_class_scores(class_logits: Tensor, masks: LazyMasks) -> Callable[[slice], Tensor]:
    """The same, but the scores are computed at the input's size and resized bilinearly."""
    H, W = masks.img_shape
    window = masks.window or ((0, H), (0, W))
    down, across = (
        AxisResize(
            end - start,
            end - start,
            masks.img_shape[axis],
            masks.ori_shape[axis],
            like=masks.mask_embed,
            flip=masks.flips[axis],
            window=(start, end),
        )
        for axis, (start, end) in enumerate(window)
    )
    top = window[0][0]
    at_input_size = class_scores(class_logits, replace(masks, ori_shape=masks.img_shape, flips=(False, False)))
    return RollingRows(lambda rows: at_input_size(slice(rows.start + top, rows.stop + top)), down, across)


def class_masks(class_logits: Tensor, masks: LazyMasks) -> Callable[[slice], Tensor]:
    """What gives mask logits (K, rows, columns) of a strip of rows of the original image."""
    low = masks.low_resolution(torch.arange(len(class_logits), device=class_logits.device), 0)
    return lambda rows: low.strip(rows).transpose(0, 1)
