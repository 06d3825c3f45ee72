"""Points: where masks are compared instead of everywhere (paper section 3.3; Kirillov et al., PointRend)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def random_points(num_masks: int, num_points: int, like: Tensor) -> Tensor:
    """Uniform points (num_masks, num_points, 2) as x and y from 0 to 1, on the device and in the type of ``like``."""
    return torch.rand(num_masks, num_points, 2, device=like.device, dtype=like.dtype)


def sample_maps(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of maps at points; outside a map is zero.

    Args:
        maps (Tensor): (n, c, h, w).
        points (Tensor): (n, P, 2), x and y from 0 to 1 over the map.

    Returns:
        Tensor: (n, c, P).
    """
    grid = 2 * points[:, :, None] - 1  # (n, P, 1, 2)
    return F.grid_sample(maps, grid, mode='bilinear', padding_mode='zeros', align_corners=False)[..., 0]


def sample_masks(masks: Tensor, index: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of boolean masks at points, without a float copy of the masks.

    Args:
        masks (Tensor): (N, H, W) bool.
        index (Tensor): (n,) int64, which mask each row of points samples.
        points (Tensor): (n, P, 2), or (1, P, 2) for points that all rows share; x and y from 0 to 1.

    Returns:
        Tensor: (n, P) in the type of ``points``.
    """
    H, W = masks.shape[-2:]
    x, y = points[..., 0] * W - 0.5, points[..., 1] * H - 0.5  # (n or 1, P)
    left, top = x.floor(), y.floor()
    fx, fy = x - left, y - top
    left, top = left.long(), top.long()
    flat = masks.flatten()
    row = (index * (H * W))[:, None]  # (n, 1)
    out = None
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            cy, cx = top + dy, left + dx
            weight = wy * wx * ((cy >= 0) & (cy < H) & (cx >= 0) & (cx < W))
            corner = cy.clamp(0, H - 1) * W + cx.clamp(0, W - 1)
            value = flat[row + corner] * weight  # (n, P)
            out = value if out is None else out + value
    return out


@torch.no_grad()
def uncertain_points(mask_logits: Tensor, num_points: int, oversample_ratio: float, importance_ratio: float) -> Tensor:
    """Points of which most lie where a mask is uncertain, i.e. where its logit is near zero.

    Args:
        mask_logits (Tensor): (n, h, w).
        num_points (int): P.
        oversample_ratio (float): How many times P points to choose from.
        importance_ratio (float): Share of P chosen for their uncertainty; the rest is uniform.

    Returns:
        Tensor: (n, P, 2), x and y from 0 to 1.
    """
    n = len(mask_logits)
    candidates = random_points(n, int(num_points * oversample_ratio), mask_logits)
    uncertainty = -sample_maps(mask_logits[:, None], candidates)[:, 0].abs()  # (n, candidates)
    num_important = int(importance_ratio * num_points)
    chosen = uncertainty.topk(num_important, dim=1).indices  # (n, num_important)
    important = candidates.gather(1, chosen[..., None].expand(-1, -1, 2))
    return torch.cat((important, random_points(n, num_points - num_important, mask_logits)), dim=1)
