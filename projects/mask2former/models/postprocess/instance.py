"""Instance results: the best pairs of query and class, as in the reference; see also :mod:`.plain`."""

from collections.abc import Sequence

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from mask2former.models.masks import Masks
from mask2former.models.masks.strip_rle import StripEncoder
from mask2former.registry import TASK_UTILS


@TASK_UTILS.register_module()
class InstanceTopK:
    """The pairs of query and class with the highest class score; an instance's score is that times its mask's quality.

    Args:
        max_per_image: Pairs taken before stuff is left out.
        score_thr: Instances of a lower final score are left out.
    """

    predicts = 'pred_instances'

    def __init__(self, max_per_image: int = 100, score_thr: float = 0.0) -> None:
        self.max_per_image = max_per_image
        self.score_thr = score_thr

    def __call__(self, class_logits: Tensor, masks: Masks, isthing: Sequence[bool], sample: DetDataSample) -> None:
        """Set ``sample.pred_instances``.

        Args:
            class_logits: (Q, K + 1).
            masks: Masks of the image.
            isthing: Of every class, whether it is a thing; others are no instances.
            sample: Where the result goes.
        """
        # The final score is at most the class score, so what is below the threshold now stays below it.
        scores, labels, queries = best_pairs(class_logits, self.max_per_image, isthing, self.score_thr)

        # Several classes may share a query: its mask is formed once.
        unique, inverse = queries.unique(return_inverse=True)
        encoder = StripEncoder(len(unique), *masks.ori_shape)
        area, total = torch.zeros_like(unique), scores.new_zeros(len(unique))
        for columns, query_index, logits in masks.columns(unique):  # (columns, n', H)
            inside = logits > 0
            encoder.add(columns, query_index, inside)
            query_index = query_index.to(area.device)
            area.index_add_(0, query_index, inside.sum((0, 2)))
            total.index_add_(0, query_index, logits.sigmoid_().mul_(inside).sum((0, 2)))
        rles, boxes = encoder.finish()

        scores = scores * (total / (area + 1e-6))[inverse]
        kept = scores >= self.score_thr
        inverse = inverse[kept]
        sample.pred_instances = InstanceData(
            labels=labels[kept],
            scores=scores[kept],
            bboxes=boxes.to(scores.device)[inverse],
            masks=[dict(rles[i]) for i in inverse.tolist()],
        )


def best_pairs(
    class_logits: Tensor, most: int, isthing: Sequence[bool], score_thr: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The ``most`` pairs of query and class of the highest class scores, without stuff and low scores.

    Args:
        class_logits: (Q, K + 1).
        most: Pairs taken before others are left out.
        isthing: Of every class, whether it is a thing.
        score_thr: Pairs of a lower score are left out.

    Returns:
        tuple: Scores, labels and queries, (n,) each, the best first.
    """
    scores = class_logits.softmax(-1)[:, :-1]  # (Q, K)
    K = scores.shape[1]
    scores, pairs = scores.flatten().topk(min(most, scores.numel()))
    labels, queries = pairs % K, pairs // K
    wanted = torch.tensor(isthing, dtype=torch.bool, device=labels.device)[labels] & (scores >= score_thr)
    return scores[wanted], labels[wanted], queries[wanted]
