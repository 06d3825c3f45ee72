"""One-to-one assignment of queries to segments (Carion et al., DETR; paper section 3.3 for the points)."""

import logging

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub, print_log
from mmengine.structures import InstanceData
from torch import Tensor

from mask2former.errors import ConfigError, NonFiniteError
from mask2former.models.head import HeadOutput, with_own_features
from mask2former.models.image_random import MATCHER_POINTS, generator_of
from mask2former.ops.assignment import linear_sum_assignment
from mask2former.ops.linear import linear
from mask2former.registry import TASK_UTILS

from . import point_sampling
from .losses import pairwise_dice_cost, pairwise_focal_cost, pairwise_mask_cost

MAX_LOGITS = 2**22  # mask logits that exist at a time: 16 MB


@TASK_UTILS.register_module()
class HungarianMatcher:
    """Cheapest assignment, for each decoder output and image, by the costs of class, mask and dice.

    Masks are compared at random points. The points of an image are shared by its decoder outputs, so the mask features
    are sampled once for the queries of all outputs. Or they are compared at all pixels of the mask features, as in
    MaskFormer, with the target at the nearest pixels.

    Args:
        class_cost: Weight of the class cost.
        mask_cost: Weight of the binary cross-entropy, or of the focal loss.
        dice_cost: Weight of the dice cost.
        num_points: P; None for all pixels of the mask features.
        focal: Whether the cost of a mask is the focal loss, as in MaskFormer, or the binary cross-entropy.
        on_nonfinite: What to do about NaN or infinite predictions: 'raise' :class:`NonFiniteError`, or 'skip': warn and
            match as if such a query were worthless (:func:`without_infinite`); the loss is then not finite either, and
            the optimizer wrapper (``SegOptimWrapper``) leaves the step out.
    """

    def __init__(
        self,
        class_cost: float = 2.0,
        mask_cost: float = 5.0,
        dice_cost: float = 5.0,
        num_points: int | None = 12544,
        focal: bool = False,
        on_nonfinite: str = 'raise',
    ) -> None:
        if on_nonfinite not in ('raise', 'skip'):
            raise ConfigError(f"on_nonfinite must be 'raise' or 'skip', not '{on_nonfinite}'")
        self.class_cost, self.mask_cost, self.dice_cost = class_cost, mask_cost, dice_cost
        self.num_points = num_points
        self.pairwise_mask_cost = pairwise_focal_cost if focal else pairwise_mask_cost
        self.on_nonfinite = on_nonfinite

    @torch.no_grad()
    def __call__(self, output: HeadOutput, targets: list[InstanceData]) -> list[tuple[Tensor, Tensor]]:
        """Match.

        Args:
            output: Predictions of D decoder outputs and B images, float32 or float64.
            targets: B targets with ``labels`` (N,) and ``masks`` (N, H, W), and by metainfo ``img_id`` for messages and
                perhaps ``seed`` (:func:`~mask2former.models.image_random.generator_of`).

        Returns:
            list[tuple[Tensor, Tensor]]: For each image the queries and the segments that belong together, both
            (D, min(N, Q)) int64, in ascending order of the queries.
        """
        costs = [self.cost(output, b, target) for b, target in enumerate(targets)]  # B times (D, Q, N)
        # One copy to the host for all outputs and images.
        host = torch.cat([cost.flatten() for cost in costs]).cpu().numpy()
        finite = np.isfinite(host).all()
        if not finite:
            self._handle_nonfinite(output, targets)
        sizes = [cost.numel() for cost in costs]
        matches = []
        for cost, flat in zip(costs, np.split(host, np.cumsum(sizes)[:-1])):
            layers = flat.reshape(cost.shape)
            pairs = [linear_sum_assignment(layer if finite else without_infinite(layer)) for layer in layers]
            queries, segments = (torch.from_numpy(np.stack(x)).to(cost.device) for x in zip(*pairs))
            matches.append((queries, segments))
        return matches

    def cost(self, output: HeadOutput, b: int, target: InstanceData) -> Tensor:
        """The cost (D, Q, N) of matching each query of each decoder output with each segment of image ``b``."""
        D, _, Q, _ = output.class_logits.shape
        generator = generator_of(target.get('seed'), MATCHER_POINTS, output.mask_features.device)
        features, mask_targets = self.sample(output.mask_features[b], target.masks, generator)  # (P, C), (N, P)
        class_cost = -output.class_logits[:, b].flatten(0, 1).softmax(-1)[:, target.labels]  # (D*Q, N)
        mask_costs = []
        # Few queries at a time, so that their logits at all points stay small.
        for embed, own_features in with_own_features(output.mask_embed[:, b], features):
            for some in embed.split(max(1, MAX_LOGITS // len(features))):
                mask_logits = linear(some, own_features)  # (n, P)
                mask_costs.append(
                    self.mask_cost * self.pairwise_mask_cost(mask_logits, mask_targets)
                    + self.dice_cost * pairwise_dice_cost(mask_logits, mask_targets)
                )
        return (self.class_cost * class_cost + torch.cat(mask_costs)).view(D, Q, -1)

    def sample(
        self, mask_features: Tensor, masks: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mask features (P, C) of (C, h, w), and masks (N, P) of (N, H, W), at P random points or at all h*w pixels."""
        return self.sample_at(self.draw_points(mask_features, generator), mask_features, masks)

    def draw_points(self, like: Tensor, generator: torch.Generator | None) -> Tensor | None:
        """Random points (P, 2); None for all pixels."""
        if self.num_points is None:
            return None
        return point_sampling.random_points(1, self.num_points, like, generator)[0]

    @staticmethod
    def sample_at(points: Tensor | None, mask_features: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """The same as :meth:`sample` at given points."""
        if points is None:
            size = mask_features.shape[-2:]
            nearest = F.interpolate(masks[:, None].to(torch.uint8), size=size, mode='nearest')  # (N, 1, h, w)
            return mask_features.flatten(1).T, nearest.flatten(1).to(mask_features.dtype)
        return point_sampling.sample_features(mask_features, points), point_sampling.sample_masks(masks, points)

    def _handle_nonfinite(self, output: HeadOutput, targets: list[InstanceData]) -> None:
        finite = output.class_logits.isfinite().all(-1) & output.mask_embed.isfinite().all(-1)  # (D, B, Q)
        layers = (~finite).flatten(1).any(1).nonzero().flatten().tolist()
        which = f'decoder outputs {layers}' if layers else 'the mask features'
        iteration = MessageHub.get_current_instance().get_info('iter', 'unknown')
        images = ', '.join(str(target.get('img_id', '?')) for target in targets)
        message = (
            f'NaN or infinite predictions in {which} at iteration {iteration}, images {images}: lower the learning '
            'rate, check the images and masks named here, or use bfloat16 instead of float16.'
        )
        if self.on_nonfinite == 'raise':
            raise NonFiniteError(message)
        print_log(message, 'current', logging.WARNING)


def without_infinite(cost: np.ndarray) -> np.ndarray:
    """Costs (Q, N) in float64, in which NaN, plus and minus infinity are dearer than any finite assignment.

    So a pair of such a cost is taken only where there is no assignment without one, and then as few as can be.
    """
    cost = cost.astype(np.float64)
    finite = np.isfinite(cost)
    kept = cost[finite]
    low, high = (kept.min(), kept.max()) if kept.size else (0.0, 0.0)
    cost[~finite] = high + (high - low + 1) * min(cost.shape)
    return cost
