"""Multi-scale deformable attention of ordinary PyTorch functions: for any device, and with gradients of any order."""

import torch.nn.functional as F
from torch import Tensor

from .cpu_kernel import full_precision


def ms_deform_attn_grid_sample(
    value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """See :func:`mask2former.ops.ms_deform_attn`; half precision is computed in float32."""
    B, _, M, Cm = value.shape
    dtype = value.dtype
    value, locations, weights = full_precision(value, locations, weights)
    T = locations.shape[1]
    grid = (2 * locations - 1).permute(0, 2, 3, 4, 1, 5).flatten(0, 1)  # (B*M, L, R, T, 2)
    weights = weights.permute(0, 2, 3, 4, 1).flatten(0, 1)[:, None]  # (B*M, 1, L, R, T)
    out = None
    for i, level in enumerate(value.split([h * w for h, w in level_shapes], dim=1)):
        level = level.flatten(2).transpose(1, 2).reshape(B * M, Cm, *level_shapes[i])  # (B*M, C/M, h, w)
        # Tokens come last, so that the weighted sum over the points runs along contiguous memory.
        samples = F.grid_sample(level, grid[:, i], mode='bilinear', padding_mode='zeros', align_corners=False)
        part = (samples * weights[:, :, i]).sum(2)  # (B*M, C/M, R, T) -> (B*M, C/M, T)
        out = part if out is None else out + part
    return out.view(B, M * Cm, T).transpose(1, 2).contiguous().to(dtype)
