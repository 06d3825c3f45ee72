"""Multi-scale deformable attention of ordinary PyTorch functions: for any device, and with gradients of any order."""

import torch.nn.functional as F
from torch import Tensor

from mask2former.ops.precision import full_precision


def ms_deform_attn_grid_sample(
    value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """See :func:`mask2former.ops.ms_deform_attn`; half precision is computed in float32."""
    B, _, M, Cm = value.shape
    dtype = value.dtype
    value, locations, weights = full_precision(value, locations, weights)
    Q = locations.shape[1]
    grid = (2 * locations - 1).permute(0, 2, 3, 4, 1, 5).flatten(0, 1)  # (B*M, L, R, Q, 2)
    weights = weights.permute(0, 2, 3, 4, 1).flatten(0, 1)[:, None]  # (B*M, 1, L, R, Q)
    parts = []
    for i, level in enumerate(value.split([h * w for h, w in level_shapes], dim=1)):
        level = level.flatten(2).transpose(1, 2).reshape(B * M, Cm, *level_shapes[i])  # (B*M, C/M, h, w)
        # Queries come last, so that the weighted sum over the points runs along contiguous memory.
        samples = F.grid_sample(level, grid[:, i], mode='bilinear', padding_mode='zeros', align_corners=False)
        parts.append((samples * weights[:, :, i]).sum(2))  # (B*M, C/M, R, Q) -> (B*M, C/M, Q)
    return sum(parts[1:], parts[0]).view(B, M * Cm, Q).transpose(1, 2).contiguous().to(dtype)
