"""Semantic results by marginalising over queries (Cheng et al., MaskFormer, section 3.4)."""

from collections.abc import Sequence

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from torch import Tensor

from ...ops.linear import linear
from ...registry import TASK_UTILS
from .argmax import argmax_of_middle_
from .lazy_masks import LazyMasks


@TASK_UTILS.register_module()
class SemanticInference:
    """The class of a pixel has the highest sum, over queries, of class probability times mask probability."""

    def __call__(self, class_logits: Tensor, masks: LazyMasks, isthing: Sequence[bool], sample: DetDataSample) -> None:
        """Set ``sample.pred_sem_seg``.

        Args:
            class_logits (Tensor): (Q, K + 1).
            masks (LazyMasks): Masks of the image.
            isthing (Sequence[bool]): Not needed here; every postprocessor is called alike.
            sample (DetDataSample): Where the result goes.
        """
        probability = class_logits.softmax(-1)[:, :-1]  # (Q, K)
        sem_seg = torch.empty(masks.ori_shape, dtype=torch.long, device=probability.device)
        for rows, logits in masks.rows(torch.arange(len(probability), device=probability.device)):  # (rows, Q, W)
            scores = linear(probability.T, logits.sigmoid_().transpose(0, 1).flatten(1).T)  # (K, rows * W)
            sem_seg[rows] = argmax_of_middle_(scores[None]).view(logits.shape[0], -1)
        sample.pred_sem_seg = PixelData(sem_seg=sem_seg[None])
