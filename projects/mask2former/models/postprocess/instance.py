"""Instance results: the best pairs of query and class (as the reference implementation does)."""

from collections.abc import Sequence

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from ...registry import TASK_UTILS
from .lazy_masks import LazyMasks


def mask_boxes(masks: Tensor) -> Tensor:
    """Tight boxes (n, 4) float32 as x1, y1, x2, y2 of masks (n, H, W) bool; zeros where a mask is empty."""
    H, W = masks.shape[-2:]
    columns, rows = masks.any(1), masks.any(2)  # (n, W), (n, H)
    x1, y1 = columns.byte().argmax(1), rows.byte().argmax(1)
    x2, y2 = W - columns.flip(1).byte().argmax(1), H - rows.flip(1).byte().argmax(1)
    boxes = torch.stack((x1, y1, x2, y2), dim=1).float()
    return boxes * columns.any(1)[:, None]


@TASK_UTILS.register_module()
class InstanceTopK:
    """The pairs of query and class with the highest class score; an instance's score is that times its mask's quality.

    Args:
        max_per_image (int): Pairs taken before stuff is left out. Defaults to 100.
        score_thr (float): Instances of a lower final score are left out. Defaults to 0.
    """

    def __init__(self, max_per_image: int = 100, score_thr: float = 0.0) -> None:
        self.max_per_image = max_per_image
        self.score_thr = score_thr

    def __call__(self, class_logits: Tensor, masks: LazyMasks, isthing: Sequence[bool], sample: DetDataSample) -> None:
        """Set ``sample.pred_instances``.

        Args:
            class_logits (Tensor): (Q, K + 1).
            masks (LazyMasks): Masks of the image.
            isthing (Sequence[bool]): Of every class, whether it is a thing; others are no instances.
            sample (DetDataSample): Where the result goes.
        """
        scores = class_logits.softmax(-1)[:, :-1]  # (Q, K)
        K = scores.shape[1]
        scores, pairs = scores.flatten().topk(min(self.max_per_image, scores.numel()))
        labels, queries = pairs % K, pairs // K
        # The final score is at most the class score, so what is below the threshold now stays below it.
        wanted = torch.tensor(isthing, dtype=torch.bool, device=labels.device)[labels] & (scores >= self.score_thr)
        scores, labels, queries = scores[wanted], labels[wanted], queries[wanted]

        # Several classes may share a query: its mask is formed once.
        unique, inverse = queries.unique(return_inverse=True)
        binary, quality = [], []
        for _, logits in masks.chunks(unique):
            inside = logits > 0  # (n', H, W)
            area = inside.flatten(1).sum(1)
            quality.append((logits.sigmoid() * inside).flatten(1).sum(1) / (area + 1e-6))
            binary.append(inside)
        if binary:
            binary, quality = torch.cat(binary), torch.cat(quality)
        else:
            binary = torch.zeros((0, *masks.ori_shape), dtype=torch.bool, device=scores.device)
            quality = scores.new_zeros(0)
        scores = scores * quality[inverse]
        kept = scores >= self.score_thr
        inverse = inverse[kept]
        sample.pred_instances = InstanceData(
            labels=labels[kept], scores=scores[kept], bboxes=mask_boxes(binary)[inverse], masks=binary[inverse])
