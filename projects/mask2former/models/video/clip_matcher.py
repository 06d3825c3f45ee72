"""One assignment of queries to tracks for a whole clip."""

import torch
from torch import Tensor

from mask2former.models.criterion import HungarianMatcher
from mask2former.registry import TASK_UTILS


@TASK_UTILS.register_module()
class ClipMatcher(HungarianMatcher):
    """A :class:`HungarianMatcher` that compares masks in all frames of a clip, at the same points of each.

    The cross-entropy is a mean over the points of all frames, the dice cost is that of all of them together, as in the
    reference.
    """

    def sample(
        self, mask_features: Tensor, masks: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mask features (T*P, C) of (T, C, h, w), and masks (N, T*P) of (N, T, H, W), frame after frame."""
        points = self.draw_points(mask_features, generator)
        frames = [self.sample_at(points, *frame) for frame in zip(mask_features, masks.unbind(1))]
        features, targets = zip(*frames)  # T times (P, C) and (N, P)
        return torch.cat(features), torch.cat(targets, 1)
