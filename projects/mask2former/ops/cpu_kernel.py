"""Multi-scale deformable attention for CPUs: plain functions for its values and its gradients, without a compiler.

Seen as a matrix product the operation is ``out = A @ table``: ``A`` is sparse, with the 4*L*R corners that a head of a
token looks at in each row, and ``table`` has a row of C/M values for each cell of each head. PyTorch has fast kernels
for the three products that this takes: ``embedding_bag`` for ``A @ table`` and, with the samples sorted by cell, for
``A.T @ grad``, and ``sampled_addmm`` for the entries of ``grad @ table.T`` that ``A`` has.

Letters: B images, T tokens that look, S tokens that are looked at, M heads, L levels, R points of a head in a level.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

# The only use made of it here, a product with a fixed pattern, is old and plain.
warnings.filterwarnings('ignore', message='Sparse CSR tensor support is in beta state')

# Zero cells around each level, so that a corner outside needs no test: two rows above and below, and two columns
# between a row's end and the next row's start. With two, both corners of a sample that is clamped there are zero.
BORDER = 2
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # y, x


@dataclass
class Samples:
    """Where the samples fall.

    Attributes:
        cell (Tensor): (B*T, M*L*R) int32, the row in the table of each sample's upper left corner.
        fx (Tensor): (B*T, M*L*R), distance from that corner to the right, 0 to 1.
        fy (Tensor): (B*T, M*L*R), distance downwards.
        scale (tuple[Tensor, Tensor]): Width and height (M*L*R,) of the level of each sample.
        pitch (Tensor): (M*L*R,) int32, cells from a row to the next.
    """

    cell: Tensor
    fx: Tensor
    fy: Tensor
    scale: tuple[Tensor, Tensor]
    pitch: Tensor


def level_cells(level_shapes: list[tuple[int, int]]) -> list[int]:
    """Cells of each level in the table, its border included."""
    return [(h + 2 * BORDER) * (w + BORDER) + BORDER for h, w in level_shapes]


def level_views(table: Tensor, level_shapes: list[tuple[int, int]], dy: int = 0, dx: int = 0) -> list[Tensor]:
    """Views (B, M, h, w, C/M) of the levels in a table (B, M, cells, C/M), moved by whole cells.

    Moved by (dy, dx), the place (y, x) is the cell that lies dy rows above and dx columns left of it.
    """
    views, start = [], 0
    for (h, w), cells in zip(level_shapes, level_cells(level_shapes)):
        first = (BORDER - dy) * (w + BORDER) + BORDER - dx
        level = table[:, :, start + first:start + first + h * (w + BORDER)]
        views.append(level.unflatten(2, (h, w + BORDER))[:, :, :, :w])
        start += cells
    return views


def make_table(value: Tensor, level_shapes: list[tuple[int, int]]) -> Tensor:
    """The table (B, M, cells, C/M) of the values (B, S, M, C/M): zero in the borders."""
    B, _, M, Cm = value.shape
    table = value.new_zeros(B, M, sum(level_cells(level_shapes)), Cm)
    levels = value.split([h * w for h, w in level_shapes], dim=1)
    for (h, w), level, view in zip(level_shapes, levels, level_views(table, level_shapes)):
        view.copy_(level.unflatten(1, (h, w)).permute(0, 3, 1, 2, 4))
    return table


def locate(locations: Tensor, level_shapes: list[tuple[int, int]]) -> Tensor:
    """Find the cells of the samples at ``locations`` (B, T, M, L, R, 2)."""
    B, T, M, L, R, _ = locations.shape
    dtype = locations.dtype
    cells = level_cells(level_shapes)
    starts = [sum(cells[:i]) + BORDER * (w + BORDER) + BORDER for i, (_, w) in enumerate(level_shapes)]

    def per_sample(values: list[int], dtype: torch.dtype) -> Tensor:
        return torch.tensor(values, dtype=dtype)[:, None].expand(M, L, R).flatten()  # (M*L*R,)

    width, height = (per_sample(list(x), dtype) for x in zip(*[(w, h) for h, w in level_shapes]))
    pitch = per_sample([w + BORDER for _, w in level_shapes], torch.int32)
    first = per_sample(starts, torch.int32) + (torch.arange(M, dtype=torch.int32) * sum(cells)).repeat_interleave(L * R)

    locations = locations.reshape(B * T, M * L * R, 2)
    floors, fractions = [], []
    for axis, size in enumerate((width, height)):
        # In cells, from the centre of the first; far outside is as good as just outside, where all is zero.
        x = (locations[..., axis] * size).sub_(0.5).clamp_(min=-1.5).clamp_(max=size + 0.5)
        floor = x.floor()
        fractions.append(x.sub_(floor))
        # NaN has no cell: any that exists will do, since its weight is NaN.
        floors.append(floor.nan_to_num_(nan=0.0).int())
    cell = floors[1].mul_(pitch).add_(floors[0]).add_(first)
    cell.view(B, -1).add_((torch.arange(B, dtype=torch.int32) * (M * sum(cells)))[:, None])
    return Samples(cell, *fractions, (width, height), pitch)


def corner_weights(weights: Tensor, fx: Tensor, fy: Tensor, out: list[Tensor]) -> None:
    """Write the attention weight times the bilinear weight of each of the four corners."""
    below = weights * fy
    above = weights - below
    torch.mul(above, fx, out=out[1])
    torch.sub(above, out[1], out=out[0])
    torch.mul(below, fx, out=out[3])
    torch.sub(below, out[3], out=out[2])


def forward(value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    """The function :func:`mask2former.ops.ms_deform_attn` without gradients; half precision is computed in float32."""
    B, T, M, _, _, _ = locations.shape
    dtype = value.dtype
    value, locations, weights = full_precision(value, locations, weights)
    table = make_table(value, level_shapes).flatten(0, 2)  # (B*M*cells, C/M)
    samples = locate(locations, level_shapes)
    corners, offsets = corner_cells(samples, M)
    factors = torch.empty(corners.shape, dtype=value.dtype)  # (B*T, M*L*R, 4)
    corner_weights(weights.reshape(B * T, -1), samples.fx, samples.fy, factors.unbind(-1))
    out = torch.embedding_bag(
        table, corners.flatten(), offsets, mode=0, per_sample_weights=factors.flatten(), include_last_offset=True)[0]
    return out.view(B, T, -1).to(dtype)  # (B*T*M, C/M) -> (B, T, C)


def backward(grad: Tensor, value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor,
             weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of value, locations and weights from that of the result, ``grad`` (B, T, C)."""
    B, T, M, _, _, _ = locations.shape
    inputs = (value, locations, weights)
    grad, value, locations, weights = full_precision(grad, *inputs)
    grad = grad.reshape(B * T * M, -1)  # (B*T*M, C/M)
    samples = locate(locations, level_shapes)
    flat_weights = weights.reshape(B * T, -1)  # (B*T, M*L*R)
    grad_locations, grad_weights = backward_samples(grad, value, level_shapes, samples, flat_weights)
    grads = (backward_value(grad, level_shapes, samples, flat_weights, (B, M)), grad_locations, grad_weights)
    return tuple(grad.view(x.shape).to(x.dtype) for grad, x in zip(grads, inputs))


def full_precision(*tensors: Tensor) -> list[Tensor]:
    """The tensors in float64 if one of them is, else in float32."""
    dtype = torch.float64 if any(x.dtype == torch.float64 for x in tensors) else torch.float32
    return [x.to(dtype) for x in tensors]


def corner_cells(samples: Samples, M: int) -> tuple[Tensor, Tensor]:
    """The cells (B*T, M*L*R, 4) of the corners, and where each token's head starts in the flattened list."""
    cell = samples.cell
    corners = cell.new_empty(*cell.shape, 4)
    for k, (dy, dx) in enumerate(CORNERS):
        torch.add(cell, samples.pitch * dy + dx, out=corners[..., k])
    per_head = corners.numel() // (len(cell) * M)  # 4*L*R
    return corners, torch.arange(0, corners.numel() + 1, per_head, dtype=torch.int32)


def backward_samples(grad: Tensor, value: Tensor, level_shapes: list[tuple[int, int]], samples: Samples,
                     weights: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients (B*T, M*L*R, 2) of the locations and (B*T, M*L*R) of the weights."""
    table = make_table(value, level_shapes).flatten(0, 2)  # (B*M*cells, C/M)
    corners, offsets = corner_cells(samples, value.shape[2])
    pattern = torch.sparse_csr_tensor(
        offsets, corners.flatten(), value.new_zeros(corners.numel()), (len(grad), len(table)), check_invariants=False)
    # The products of grad with the values at the corners.
    products = torch.sparse.sampled_addmm(pattern, grad, table.T, beta=0.0).values()
    upper_left, upper_right, lower_left, lower_right = products.view(*samples.cell.shape, 4).unbind(-1)

    fx, fy = samples.fx, samples.fy
    above = torch.lerp(upper_left, upper_right, fx)
    below = torch.lerp(lower_left, lower_right, fx)
    grad_weights = torch.lerp(above, below, fy)
    grad_locations = weights.new_empty(*weights.shape, 2)
    slope = torch.lerp(upper_right.sub(upper_left), lower_right.sub(lower_left), fy)
    torch.mul(slope.mul_(weights), samples.scale[0], out=grad_locations[..., 0])
    torch.mul(below.sub_(above).mul_(weights), samples.scale[1], out=grad_locations[..., 1])
    return grad_locations, grad_weights


def backward_value(grad: Tensor, level_shapes: list[tuple[int, int]], samples: Samples, weights: Tensor,
                   batch_and_heads: tuple[int, int]) -> Tensor:
    """The gradient (B, S, M, C/M) of the values: sort the samples by cell, then sum over each cell's samples."""
    B, M = batch_and_heads
    cells = sum(level_cells(level_shapes))
    cell = samples.cell.flatten()
    order = cell.sort().indices
    offsets = torch.zeros(B * M * cells + 1, dtype=torch.int32)
    torch.cumsum(cell.bincount(minlength=B * M * cells), 0, out=offsets[1:])
    per_head = len(cell) // len(grad)  # L*R
    source = order.int().div_(per_head, rounding_mode='floor')  # which row of grad a sample takes
    in_order = [x.flatten().index_select(0, order) for x in (weights, samples.fx, samples.fy)]
    factors = [torch.empty_like(in_order[0]) for _ in CORNERS]
    corner_weights(*in_order, factors)
    levels = None
    for (dy, dx), factor in zip(CORNERS, factors):
        table = torch.embedding_bag(
            grad, source, offsets, mode=0, per_sample_weights=factor, include_last_offset=True)[0]
        # A corner's sum is kept at the upper left cell of its samples: move it to where the corner is.
        moved = level_views(table.view(B, M, cells, -1), level_shapes, dy, dx)
        levels = moved if levels is None else [x + y for x, y in zip(levels, moved)]
    return torch.cat([x.permute(0, 2, 3, 1, 4).flatten(1, 2) for x in levels], dim=1)
