"""The rules of postprocessing as published, plainly: on all masks at the original size, with loops over queries.

The postprocessors are measured against these functions, which nothing else calls.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def full_size_logits(
    mask_embed: Tensor,
    mask_features: Tensor,
    batch_shape: tuple[int, int],
    img_shape: tuple[int, int],
    ori_shape: tuple[int, int],
) -> Tensor:
    """Mask logits (Q, H, W) at the original size, of embeddings (Q, C) and features (C, h, w).

    Args:
        mask_embed: (Q, C).
        mask_features: (C, h, w).
        batch_shape: Size of the padded input, to which the masks are enlarged.
        img_shape: Size of the image within it; the padding is cut off.
        ori_shape: Original size (H, W) of the image, to which they are resized at last.
    """
    logits = torch.einsum('qc,chw->qhw', mask_embed, mask_features)[None]
    logits = F.interpolate(logits, size=batch_shape, mode='bilinear')[..., : img_shape[0], : img_shape[1]]
    return F.interpolate(logits, size=ori_shape, mode='bilinear')[0]


def panoptic_fusion(
    class_logits: Tensor,
    mask_logits: Tensor,
    isthing: Sequence[bool],
    score_thr: float,
    overlap_thr: float,
    inside_mask: bool = True,
) -> tuple[Tensor, list[dict]]:
    """Panoptic result (Cheng et al., MaskFormer, section 3.4); see :class:`PanopticFusion`.

    A pixel is assigned to the query with the highest class score times mask probability, out of those that are sure of
    a class. A query's segment is where its mask has a probability of a half and is not covered by others'; it is
    dropped if too much of the mask is covered. Segments of one stuff class are one.

    Args:
        class_logits: (Q, K + 1).
        mask_logits: (Q, H, W).
        isthing: Of each of K classes, whether it is a thing.
        score_thr: Queries of a lower class score are left out.
        overlap_thr: A segment is kept if at least this share of its query's mask is assigned to it.
        inside_mask: Else a segment has the pixels outside the query's mask, too, that are assigned to it.

    Returns:
        tuple: (H, W) int32 ids of segments, 0 is void; and of each segment ``dict(id, label, isthing, score)``.
    """
    scores, labels = class_logits.softmax(-1).max(-1)
    kept = [q for q in range(len(scores)) if labels[q] < len(isthing) and scores[q] > score_thr]
    id_map = torch.zeros(mask_logits.shape[1:], dtype=torch.int32)
    segments: list[dict] = []
    if not kept:
        return id_map, segments
    probability = mask_logits[kept].sigmoid()  # (n, H, W)
    assigned = (scores[kept][:, None, None] * probability).argmax(0)  # (H, W)
    stuff_ids: dict[int, int] = {}
    for i, query in enumerate(kept):
        label, mask = int(labels[query]), probability[i] >= 0.5
        visible = mask & (assigned == i) if inside_mask else assigned == i
        if not mask.any() or not visible.any() or (assigned == i).sum() < overlap_thr * mask.sum():
            continue
        if label not in stuff_ids:
            number = len(segments) + 1
            segments.append(dict(id=number, label=label, isthing=isthing[label], score=float(scores[query])))
        id_map[visible] = stuff_ids.get(label, len(segments))
        if not isthing[label]:
            stuff_ids.setdefault(label, len(segments))
    return id_map, segments


def instance_top_k(
    class_logits: Tensor, mask_logits: Tensor, isthing: Sequence[bool], max_per_image: int
) -> list[tuple[int, float, Tensor]]:
    """Instance result (as in the reference); see :class:`InstanceTopK`.

    The best pairs of query and class are taken. A pair's score is the class score times the mean probability inside
    the mask.

    Args:
        class_logits: (Q, K + 1).
        mask_logits: (Q, H, W).
        isthing: Of each of K classes, whether it is a thing; pairs with other classes are left out at last.
        max_per_image: Pairs that are taken.

    Returns:
        list: Label, score and mask (H, W) bool of each instance, the best class score first.
    """
    scores = class_logits.softmax(-1)[:, :-1]  # (Q, K)
    pairs = [(float(scores[q, k]), q, k) for q in range(len(class_logits)) for k in range(len(isthing))]
    instances = []
    for score, query, label in sorted(pairs, reverse=True)[:max_per_image]:
        if isthing[label]:
            mask = mask_logits[query] > 0
            quality = mask_logits[query][mask].sigmoid().mean().item() if mask.any() else 0.0
            instances.append((label, score * quality, mask))
    return instances


def semantic_inference(class_logits: Tensor, mask_logits: Tensor) -> Tensor:
    """Semantic result (MaskFormer, section 3.4): the class (H, W) of each pixel; see :class:`SemanticInference`.

    It has the highest sum over queries of class probability times mask probability. ``class_logits`` are (Q, K + 1),
    ``mask_logits`` (Q, H, W).
    """
    return class_scores(class_logits, mask_logits).argmax(0)


def class_scores(class_logits: Tensor, mask_logits: Tensor) -> Tensor:
    """The sums over queries of :func:`semantic_inference`, (K, H, W)."""
    return torch.einsum('qk,qhw->khw', class_logits.softmax(-1)[:, :-1], mask_logits.sigmoid())
