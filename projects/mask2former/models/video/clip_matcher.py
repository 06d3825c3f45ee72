"""One assignment of queries to tracks for a whole clip."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mask2former.models.criterion import HungarianMatcher, point_sampling
from mask2former.registry import TASK_UTILS


@TASK_UTILS.register_module()
class ClipMatcher(HungarianMatcher):
    """A :class:`HungarianMatcher` that compares masks in all frames of a clip, at the same points of each.

    The cross-entropy is a mean over the points of all frames, the dice cost is that of all of them together, as in the
    reference.
    """

    def sample(self, mask_features: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Mask features (T*P, C) of (T, C, h, w), and masks (N, T*P) of (N, T, H, W), frame after frame."""
        if self.num_points is None:
            size = mask_features.shape[-2:]
            nearest = F.interpolate(masks.to(torch.uint8), size=size, mode='nearest')  # (N, T, h, w)
            rows = mask_features.flatten(2).transpose(1, 2).flatten(0, 1)  # (T*h*w, C)
            return rows, nearest.flatten(1).to(mask_features.dtype)
        points = point_sampling.random_points(1, self.num_points, mask_features)[0]  # (P, 2)
        features = [point_sampling.sample_features(frame, points) for frame in mask_features]  # (P, C) each
        targets = [point_sampling.sample_masks(frame, points) for frame in masks.unbind(1)]  # (N, P) each
        return torch.cat(features), torch.cat(targets, 1)
