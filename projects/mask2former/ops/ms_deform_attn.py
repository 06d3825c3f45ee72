"""Multi-scale deformable attention (Zhu et al., Deformable DETR, arXiv 2010.04159, equation 3) as one function."""

import torch.nn.functional as F
from torch import Tensor


def ms_deform_attn(value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of bilinear samples of several feature levels.

    M is the number of heads, R the number of sampling points of a head in a level, S the number of all tokens.

    Args:
        value (Tensor): (B, S, M, C/M), the tokens of all levels one after another.
        level_shapes (list[tuple[int, int]]): L sizes (h, w), in the order of ``value``; they add up to S tokens.
        locations (Tensor): (B, T, M, L, R, 2), x and y of each sample, 0 to 1 over its level. Outside is zero.
        weights (Tensor): (B, T, M, L, R), the attention weights.

    Returns:
        Tensor: (B, T, C).
    """
    B, _, M, Cm = value.shape
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
    return out.view(B, M * Cm, T).transpose(1, 2).contiguous()
