"""Multi-scale deformable attention by gathering rows: what exported files have in the place of ``GridSample``.

Some runtimes compile that operator wrongly (NVIDIA/TensorRT#4813). Here each corner of a sample is a row of the values,
which ``Gather`` of whole rows fetches.
"""

import torch
from torch import Tensor

from mask2former.ops.precision import full_precision


def ms_deform_attn_gather(
    value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """See :func:`mask2former.ops.ms_deform_attn`; half precision is computed in float32."""
    B, S, M, Cm = value.shape
    Q, R = locations.shape[1], locations.shape[4]
    dtype = value.dtype
    value, locations, weights = full_precision(value, locations, weights)
    rows = value.reshape(B * S * M, Cm)
    image = torch.arange(B, device=value.device).view(B, 1, 1, 1) * S  # (B, 1, 1, 1)
    head = torch.arange(M, device=value.device).view(1, 1, M, 1)  # (1, 1, M, 1)
    out = value.new_zeros(B, Q, M, Cm)
    start = 0
    for level, (h, w) in enumerate(level_shapes):
        # Numbers, not a tensor of them: an exported file's sizes may be free.
        x, y = (locations[:, :, :, level, :, axis] * side - 0.5 for axis, side in enumerate((w, h)))  # (B, Q, M, R)
        left, top = x.floor(), y.floor()
        across, along = (1 - (x - left), x - left), (1 - (y - top), y - top)
        for down in (0, 1):
            for right in (0, 1):
                column, row = left + right, top + down
                share = across[right] * along[down] * weights[:, :, :, level]  # (B, Q, M, R)
                inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
                token = start + row.clamp(0, h - 1).long() * w + column.clamp(0, w - 1).long()
                corner = rows[((image + token) * M + head).flatten()].view(B, Q, M, R, Cm)
                out = out + ((share * inside)[..., None] * corner).sum(-2)  # (B, Q, M, C/M)
        start += h * w
    return out.flatten(2).to(dtype)
