"""Semantic results by marginalising over queries (Cheng et al., MaskFormer, section 3.4)."""

from collections.abc import Sequence

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from torch import Tensor

from ...registry import TASK_UTILS
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
        scores = 0
        for index, logits in masks.chunks(torch.arange(len(probability), device=probability.device)):
            scores = scores + torch.einsum('qk,qhw->khw', probability[index], logits.sigmoid())  # (K, H, W)
        sample.pred_sem_seg = PixelData(sem_seg=scores.argmax(0, keepdim=True))
