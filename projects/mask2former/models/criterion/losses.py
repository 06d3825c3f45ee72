"""The losses of one mask or query as plain functions (paper section 3.4; Cheng et al., MaskFormer)."""

import torch.nn.functional as F
from torch import Tensor

from mask2former.ops.linear import linear


def mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean binary cross-entropy over the points of each mask: (n, P), (n, P) -> (n,)."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction='none').mean(-1)


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """One minus the smoothed dice coefficient of each mask: (n, P), (n, P) -> (n,)."""
    probability = logits.sigmoid()
    overlap = 2 * (probability * targets).sum(-1) + 1
    return 1 - overlap / (probability.sum(-1) + targets.sum(-1) + 1)


def pairwise_mask_cost(logits: Tensor, targets: Tensor) -> Tensor:
    """:func:`mask_loss` of every pair: (n, P), (N, P) -> (n, N). ``softplus(x) - x t`` needs one product only."""
    return (F.softplus(logits).sum(-1, keepdim=True) - linear(logits, targets)) / logits.shape[-1]


def pairwise_dice_cost(logits: Tensor, targets: Tensor) -> Tensor:
    """:func:`dice_loss` of every pair: (n, P), (N, P) -> (n, N)."""
    probability = logits.sigmoid()
    overlap = 2 * linear(probability, targets) + 1
    return 1 - overlap / (probability.sum(-1, keepdim=True) + targets.sum(-1) + 1)
