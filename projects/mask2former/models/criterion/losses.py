"""The losses of one mask or query as plain functions (paper section 3.4; Cheng et al., MaskFormer)."""

import torch.nn.functional as F
from torch import Tensor

from mask2former.ops.linear import linear


def mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean binary cross-entropy over the points of each mask: (n, P), (n, P) -> (n,)."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction='none').mean(-1)


def focal_loss(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Mean focal loss (Lin et al., arXiv 1708.02002) over the pixels of each mask: (n, P), (n, P) -> (n,)."""
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction='none')
    probability = logits.sigmoid()
    wrong = probability + targets - 2 * probability * targets  # one minus the probability of the target
    weight = (1 - alpha) + (2 * alpha - 1) * targets
    return (weight * wrong**gamma * cross_entropy).mean(-1)


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """One minus the smoothed dice coefficient of each mask: (n, P), (n, P) -> (n,)."""
    probability = logits.sigmoid()
    overlap = 2 * (probability * targets).sum(-1) + 1
    return 1 - overlap / (probability.sum(-1) + targets.sum(-1) + 1)


def pairwise_mask_cost(logits: Tensor, targets: Tensor) -> Tensor:
    """:func:`mask_loss` of every pair: (n, P), (N, P) -> (n, N). ``softplus(x) - x t`` needs one product only."""
    return (F.softplus(logits).sum(-1, keepdim=True) - linear(logits, targets)) / logits.shape[-1]


def pairwise_focal_cost(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """:func:`focal_loss` of every pair: (n, P), (N, P) of zeros and ones -> (n, N)."""
    probability = logits.sigmoid()
    outside_loss = F.softplus(logits)  # (n, P), the cross-entropy of a pixel that the target has not
    inside = alpha * (1 - probability) ** gamma * (outside_loss - logits)  # of the pixels of the target
    outside = (1 - alpha) * probability**gamma * outside_loss  # of the others
    return (outside.sum(-1, keepdim=True) + linear(inside - outside, targets)) / logits.shape[-1]


def pairwise_dice_cost(logits: Tensor, targets: Tensor) -> Tensor:
    """:func:`dice_loss` of every pair: (n, P), (N, P) -> (n, N)."""
    probability = logits.sigmoid()
    overlap = 2 * linear(probability, targets) + 1
    return 1 - overlap / (probability.sum(-1, keepdim=True) + targets.sum(-1) + 1)
