"""Points: where masks are compared instead of everywhere (paper section 3.3; Kirillov et al., PointRend)."""

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_FLOAT_PIXELS = 2**24  # pixels of boolean masks that are floats at a time: 64 MB
MAX_CANDIDATES = 2**21  # points to choose the uncertain ones from, at a time: 16 MB


def random_points(num_masks: int, num_points: int, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Uniform points (num_masks, num_points, 2) as x and y from 0 to 1, on the device and in the type of ``like``."""
    return torch.rand(num_masks, num_points, 2, device=like.device, dtype=like.dtype, generator=generator)


def sample_maps(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of maps at points; outside a map is zero.

    Args:
        maps: (n, c, h, w).
        points: (n, P, 2), x and y from 0 to 1 over the map.

    Returns:
        Tensor: (n, c, P).
    """
    grid = 2 * points[:, :, None] - 1  # (n, P, 1, 2)
    return F.grid_sample(maps, grid, mode='bilinear', padding_mode='zeros', align_corners=False)[..., 0]


def sample_features(features: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of one feature map at points; outside it is zero. Without gradients.

    Args:
        features: (C, h, w).
        points: (P, 2), x and y from 0 to 1 over the map.

    Returns:
        Tensor: (P, C).
    """
    h, w = features.shape[-2:]
    x, y = points[:, 0] * w - 0.5, points[:, 1] * h - 0.5  # (P,)
    left, top = x.floor(), y.floor()
    cells, weights = [], []
    for cy, wy in ((top, 1 - (y - top)), (top + 1, y - top)):
        for cx, wx in ((left, 1 - (x - left)), (left + 1, x - left)):
            weights.append(wy * wx * ((cy >= 0) & (cy < h) & (cx >= 0) & (cx < w)))
            cells.append(cy.clamp(0, h - 1) * w + cx.clamp(0, w - 1))
    rows = features.flatten(1).T  # (h*w, C)
    return F.embedding_bag(
        torch.stack(cells, dim=1).long(), rows.contiguous(), mode='sum', per_sample_weights=torch.stack(weights, dim=1)
    )


def sample_masks(masks: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of every mask at the same points; outside a mask is zero.

    Args:
        masks: (N, H, W) bool.
        points: (P, 2), x and y from 0 to 1.

    Returns:
        Tensor: (N, P) in the type of ``points``.
    """
    parts = [sample_maps(part.to(points.dtype)[None], points[None])[0] for part in few_masks(masks)]
    return torch.cat(parts) if parts else points.new_zeros(0, len(points))


def sample_matched_masks(masks: Tensor, segments: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of masks, each at points of its own.

    Args:
        masks: (N, H, W) bool.
        segments: (D, n) int64, which mask; the entries of a row differ.
        points: (D*n, P, 2), x and y from 0 to 1.

    Returns:
        Tensor: (D*n, P) in the type of ``points``.
    """
    D, n = segments.shape
    out = points.new_empty(D * n + 1, points.shape[1])  # the last row is for masks that a decoder output leaves out
    rows = torch.full((len(masks), D), D * n, device=masks.device)
    rows.scatter_(0, segments.T, torch.arange(D * n, device=masks.device).view(D, n).T)  # (n, D) into (N, D)
    start = 0
    for part in few_masks(masks):
        own = rows[start : start + len(part)]  # (N', D)
        own_points = points[own.clamp(max=D * n - 1)].flatten(1, 2)  # (N', D*P, 2)
        values = sample_maps(part[:, None].to(points.dtype), own_points)  # (N', 1, D*P)
        out[own] = values.view(*own.shape, -1)
        start += len(part)
    return out[:-1]


def few_masks(masks: Tensor) -> tuple[Tensor, ...]:
    """Parts of the masks (N, H, W): as floats, all would be larger than the predictions of a whole image."""
    return masks.split(max(1, MAX_FLOAT_PIXELS // max(1, masks.shape[1] * masks.shape[2]))) if len(masks) else ()


@torch.no_grad()
def uncertain_points(
    mask_logits: Tensor,
    num_points: int,
    oversample_ratio: float,
    importance_ratio: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Points of which most lie where a mask is uncertain, i.e. where its logit is near zero.

    Args:
        mask_logits: (n, h, w).
        num_points: P.
        oversample_ratio: How many times P points to choose from.
        importance_ratio: Share of P chosen for their uncertainty; the rest is uniform.
        generator: Of the random numbers.

    Returns:
        Tensor: (n, P, 2), x and y from 0 to 1.
    """
    return torch.cat(
        [
            _uncertain_points(part, num_points, oversample_ratio, importance_ratio, generator)
            for part in mask_logits.split(max(1, MAX_CANDIDATES // max(1, int(num_points * oversample_ratio))))
        ]
    )


def _uncertain_points(
    mask_logits: Tensor,
    num_points: int,
    oversample_ratio: float,
    importance_ratio: float,
    generator: torch.Generator | None,
) -> Tensor:
    n = len(mask_logits)
    candidates = random_points(n, int(num_points * oversample_ratio), mask_logits, generator)
    uncertainty = -sample_maps(mask_logits[:, None], candidates)[:, 0].abs()  # (n, candidates)
    num_important = int(importance_ratio * num_points)
    chosen = uncertainty.topk(num_important, dim=1, sorted=False).indices  # (n, num_important)
    important = candidates.gather(1, chosen[..., None].expand(-1, -1, 2))
    return torch.cat((important, random_points(n, num_points - num_important, mask_logits, generator)), dim=1)
