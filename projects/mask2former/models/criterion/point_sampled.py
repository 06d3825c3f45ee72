"""The losses of masks at sampled points (paper section 3.3)."""

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from mask2former.models.head import HeadOutput
from mask2former.models.image_random import LOSS_POINTS, generator_of
from mask2former.registry import MODELS

from . import point_sampling
from .criterion import SetCriterion, matched_logits
from .losses import dice_loss, mask_loss


@MODELS.register_module()
class PointSampledCriterion(SetCriterion):
    """Loss of the D predictions against the segments of each image, of masks at points only.

    Only the masks of matched queries are formed, those of all decoder outputs in one batch.

    Args:
        num_classes: K.
        matcher: Config of the matcher; ``num_points`` follows from the criterion's.
        num_points: P, points of a mask that the losses look at.
        oversample_ratio: Candidates for a point that is chosen for uncertainty.
        importance_ratio: Share of points that are chosen for uncertainty.
        class_weight: Weight of the classification loss.
        mask_weight: Weight of the binary cross-entropy of masks.
        dice_weight: Weight of the dice loss.
        no_object_weight: Weight of the class no-object in the cross-entropy.
    """

    def __init__(
        self,
        num_classes: int,
        matcher: dict,
        num_points: int = 12544,
        oversample_ratio: float = 3.0,
        importance_ratio: float = 0.75,
        class_weight: float = 2.0,
        mask_weight: float = 5.0,
        dice_weight: float = 5.0,
        no_object_weight: float = 0.1,
    ) -> None:
        matcher = dict(dict(num_points=num_points), **matcher)
        super().__init__(num_classes, matcher, class_weight, mask_weight, dice_weight, no_object_weight)
        self.num_points = num_points
        self.oversample_ratio = oversample_ratio
        self.importance_ratio = importance_ratio

    def mask_losses(
        self, output: HeadOutput, targets: list[InstanceData], matches: list[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of each of M masks, the decoder output, the binary cross-entropy and the dice loss at P points, (M,) each."""
        layer, mask_logits, mask_targets = self.sample(output, targets, matches)
        return layer, mask_loss(mask_logits, mask_targets), dice_loss(mask_logits, mask_targets)

    def sample(
        self, output: HeadOutput, targets: list[InstanceData], matches: list[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Form the masks of the M matched queries of all outputs and images, and sample them and their targets.

        Returns:
            tuple: The decoder output of each mask (M,), its logits (M, P) and its targets (M, P).
        """
        formed = [matched_logits(output, b, queries) for b, (queries, _) in enumerate(matches)]
        layers, logits = [layer for layer, _ in formed], torch.cat([x for _, x in formed])  # (M, h, w)
        options = self.num_points, self.oversample_ratio, self.importance_ratio
        points = [
            point_sampling.uncertain_points(
                x.detach(), *options, generator_of(target.get('seed'), LOSS_POINTS, x.device)
            )
            for (_, x), target in zip(formed, targets)
        ]  # B times (D*n, P, 2)
        mask_logits = point_sampling.sample_maps(logits[:, None], torch.cat(points))[:, 0]
        with torch.no_grad():
            mask_targets = torch.cat(
                [
                    point_sampling.sample_matched_masks(target.masks, segments, own_points)
                    for target, (_, segments), own_points in zip(targets, matches, points)
                ]
            )
        return torch.cat(layers), mask_logits, mask_targets
