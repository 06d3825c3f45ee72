"""Multi-scale deformable attention for CPUs: plain functions for its values and its gradients, without a compiler.

Seen as a matrix product the operation is ``out = A @ table``: ``A`` is sparse, with the 4*L*R corners that a head of a
query samples in each row, and ``table`` has a row of C/M values for each cell of each head. PyTorch has fast kernels
for the three products that this takes: ``embedding_bag`` for ``A @ table`` and, with the samples sorted by cell, for
``A.T @ grad``, and ``sampled_addmm`` for the entries of ``grad @ table.T`` that ``A`` has.

Letters: B images, Q queries, S values, M heads, L levels, R points of a head in a level.
"""

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mask2former.ops.precision import full_precision

# PyTorch says once in a process that sparse CSR tensors are in beta. Let it say so unheard now, while few threads run
# that could change the filters, too; the only use made of them here, a product with a fixed pattern, is old and plain.
with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    torch.sparse_csr_tensor([0, 0], [], [], (1, 1))

# Zero cells around each level, so that a corner outside needs no test: two rows above and below, and two columns
# between a row's end and the next row's start. With two, both corners of a sample that is clamped there are zero.
BORDER = 2
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # y, x
# Queries, of all images together, that are worked on at a time: what is computed of them (30 MB in the backward pass,
# with 96 samples each) is many times larger than the result.
MAX_QUERIES = 4096


@dataclass
class Layout:
    """The levels of a query's samples; each (M*L*R,), but for the last.

    Attributes:
        width: Width of the sample's level.
        height: Its height.
        pitch: Cells from a row of the level to the next, int32.
        first: The row in the table of the level's first cell of the sample's head, int32.
        cells: Rows of the table for one image.
    """

    width: Tensor
    height: Tensor
    pitch: Tensor
    first: Tensor
    cells: int


@dataclass
class Samples:
    """Where samples fall.

    Attributes:
        cell: (n, M*L*R) int32, the row in the table of each sample's upper left corner.
        fx: (n, M*L*R), distance from that corner to the right, 0 to 1.
        fy: (n, M*L*R), distance downwards.
    """

    cell: Tensor
    fx: Tensor
    fy: Tensor


def level_cells(level_shapes: Sequence[tuple[int, int]]) -> list[int]:
    """Cells of each level in the table, its border included."""
    return [(h + 2 * BORDER) * (w + BORDER) + BORDER for h, w in level_shapes]


def level_views(table: Tensor, level_shapes: list[tuple[int, int]], dy: int = 0, dx: int = 0) -> list[Tensor]:
    """Views (B, M, h, w, C/M) of the levels in a table (B, M, cells, C/M), moved by whole cells.

    Moved by (dy, dx), the position (y, x) is the cell that lies dy rows above and dx columns left of it.
    """
    views, start = [], 0
    for (h, w), cells in zip(level_shapes, level_cells(level_shapes)):
        first = (BORDER - dy) * (w + BORDER) + BORDER - dx
        level = table[:, :, start + first : start + first + h * (w + BORDER)]
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


@functools.lru_cache(maxsize=64)
def make_layout(level_shapes: tuple[tuple[int, int], ...], M: int, R: int, dtype: torch.dtype) -> Layout:
    """The layout of the samples of M heads with R points in each level."""
    cells = level_cells(level_shapes)
    starts = [sum(cells[:i]) + BORDER * (w + BORDER) + BORDER for i, (_, w) in enumerate(level_shapes)]

    def per_sample(values: list[int], dtype: torch.dtype) -> Tensor:
        return torch.tensor(values, dtype=dtype)[:, None].expand(M, len(level_shapes), R).flatten()  # (M*L*R,)

    head = torch.arange(M, dtype=torch.int32).repeat_interleave(len(level_shapes) * R)
    return Layout(
        width=per_sample([w for _, w in level_shapes], dtype),
        height=per_sample([h for h, _ in level_shapes], dtype),
        pitch=per_sample([w + BORDER for _, w in level_shapes], torch.int32),
        first=per_sample(starts, torch.int32) + head * sum(cells),
        cells=M * sum(cells),
    )


def locate(locations: Tensor, layout: Layout) -> Samples:
    """Find the cells of the samples at ``locations`` (B, Q, M, L, R, 2); n is B*Q."""
    B, Q = locations.shape[:2]
    locations = locations.reshape(B * Q, -1, 2)  # (B*Q, M*L*R, 2)
    floors, fractions = [], []
    for axis, size in enumerate((layout.width, layout.height)):
        # In cells, from the centre of the first; far outside is as good as just outside, where all is zero.
        x = (locations[..., axis] * size).sub_(0.5).clamp_(min=-1.5).clamp_(max=size + 0.5)
        floor = x.floor()
        fractions.append(x.sub_(floor))
        # NaN has no cell: any that exists will do, since its weight is NaN.
        floors.append(floor.nan_to_num_(nan=0.0).int())
    cell = floors[1].mul_(layout.pitch).add_(floors[0]).add_(layout.first)
    cell.view(B, -1).add_((torch.arange(B, dtype=torch.int32) * layout.cells)[:, None])
    return Samples(cell, *fractions)


def query_parts(B: int, Q: int) -> list[slice]:
    """Parts of the queries, at most :data:`MAX_QUERIES` of all images together."""
    step = max(1, MAX_QUERIES // B)
    return [slice(start, start + step) for start in range(0, Q, step)]


def corner_weights(weights: Tensor, fx: Tensor, fy: Tensor, out: Sequence[Tensor]) -> None:
    """Write the attention weight times the bilinear weight of each of the four corners."""
    below = weights * fy
    above = weights - below
    torch.mul(above, fx, out=out[1])
    torch.sub(above, out[1], out=out[0])
    torch.mul(below, fx, out=out[3])
    torch.sub(below, out[3], out=out[2])


def forward(value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    """The function :func:`mask2former.ops.ms_deform_attn` without gradients; half precision is computed in float32."""
    B, Q, M, _, R, _ = locations.shape
    dtype = value.dtype
    value, locations, weights = full_precision(value, locations, weights)
    table = make_table(value, level_shapes).flatten(0, 2)  # (B*M*cells, C/M)
    layout = make_layout(tuple(level_shapes), M, R, value.dtype)
    out = value.new_empty(B, Q, M * value.shape[-1])
    for part in query_parts(B, Q):
        samples = locate(locations[:, part], layout)
        corners, offsets = corner_cells(samples, layout, M)
        factors = torch.empty(corners.shape, dtype=value.dtype)  # (n, M*L*R, 4)
        corner_weights(weights[:, part].reshape(len(corners), -1), samples.fx, samples.fy, factors.unbind(-1))
        rows = torch.embedding_bag(
            table, corners.flatten(), offsets, mode=0, per_sample_weights=factors.flatten(), include_last_offset=True
        )[0]  # (n*M, C/M)
        out[:, part] = rows.view(B, -1, out.shape[-1])
    return out.to(dtype)


def backward(
    grad: Tensor, value: Tensor, level_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of value, locations and weights from that of the result, ``grad`` (B, Q, C)."""
    B, Q, M, _, R, _ = locations.shape
    inputs = (value, locations, weights)
    grad, value, locations, weights = full_precision(grad, *inputs)
    table = make_table(value, level_shapes).flatten(0, 2)  # (B*M*cells, C/M)
    layout = make_layout(tuple(level_shapes), M, R, value.dtype)
    grad_locations = torch.empty_like(locations, memory_format=torch.contiguous_format)
    grad_weights = torch.empty_like(weights, memory_format=torch.contiguous_format)
    parts = []
    for part in query_parts(B, Q):
        samples = locate(locations[:, part], layout)
        part_grad = grad[:, part].reshape(-1, value.shape[-1])  # (n*M, C/M)
        part_weights = weights[:, part].reshape(len(samples.cell), -1)  # (n, M*L*R)
        of_locations, of_weights = backward_samples(part_grad, table, layout, samples, part_weights)
        grad_locations[:, part] = of_locations.view(grad_locations[:, part].shape)
        grad_weights[:, part] = of_weights.view(grad_weights[:, part].shape)
        parts.append(tuple(x.view(B, -1) for x in (samples.cell, samples.fx, samples.fy)))
    del table
    samples = Samples(*(torch.cat(x, dim=1) for x in zip(*parts)))  # (B, Q*M*L*R)
    grad_value = backward_value(grad.reshape(B * Q * M, -1), level_shapes, samples, weights, (B, M))
    return grad_value.to(inputs[0].dtype), grad_locations.to(inputs[1].dtype), grad_weights.to(inputs[2].dtype)


def corner_cells(samples: Samples, layout: Layout, M: int) -> tuple[Tensor, Tensor]:
    """The cells (n, M*L*R, 4) of the corners, and where each query's head starts in the flattened list."""
    cell = samples.cell
    corners = cell.new_empty(*cell.shape, 4)
    for k, (dy, dx) in enumerate(CORNERS):
        torch.add(cell, layout.pitch * dy + dx, out=corners[..., k])
    per_head = corners.numel() // (len(cell) * M)  # 4*L*R
    return corners, torch.arange(0, corners.numel() + 1, per_head, dtype=torch.int32)


def backward_samples(
    grad: Tensor, table: Tensor, layout: Layout, samples: Samples, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients (n, M*L*R, 2) of the locations and (n, M*L*R) of the weights, from ``grad`` (n*M, C/M)."""
    corners, offsets = corner_cells(samples, layout, len(grad) // len(weights))
    pattern = torch.sparse_csr_tensor(
        offsets, corners.flatten(), grad.new_zeros(corners.numel()), (len(grad), len(table)), check_invariants=False
    )
    # The products of grad with the values at the corners.
    products = torch.sparse.sampled_addmm(pattern, grad, table.T, beta=0.0).values()
    upper_left, upper_right, lower_left, lower_right = products.view(*samples.cell.shape, 4).unbind(-1)

    fx, fy = samples.fx, samples.fy
    above = torch.lerp(upper_left, upper_right, fx)
    below = torch.lerp(lower_left, lower_right, fx)
    grad_weights = torch.lerp(above, below, fy)
    grad_locations = weights.new_empty(*weights.shape, 2)
    slope = torch.lerp(upper_right.sub(upper_left), lower_right.sub(lower_left), fy)
    torch.mul(slope.mul_(weights), layout.width, out=grad_locations[..., 0])
    torch.mul(below.sub_(above).mul_(weights), layout.height, out=grad_locations[..., 1])
    return grad_locations, grad_weights


def backward_value(
    grad: Tensor,
    level_shapes: list[tuple[int, int]],
    samples: Samples,
    weights: Tensor,
    batch_and_heads: tuple[int, int],
) -> Tensor:
    """The gradient (B, S, M, C/M) of the values: sort the samples by cell, then sum over each cell's samples."""
    B, M = batch_and_heads
    cells = sum(level_cells(level_shapes))
    cell = samples.cell.flatten()
    order = cell.sort().indices
    offsets = torch.zeros(B * M * cells + 1, dtype=torch.int32)
    torch.cumsum(cell.bincount(minlength=B * M * cells), 0, out=offsets[1:])
    per_head = len(cell) // len(grad)  # L*R
    source = order.int().div_(per_head, rounding_mode='floor')  # which row of grad a sample takes
    weights, fx, fy = (x.flatten().index_select(0, order) for x in (weights, samples.fx, samples.fy))
    factors = [torch.empty_like(weights) for _ in CORNERS]
    corner_weights(weights, fx, fy, factors)
    levels: list[Tensor] = []
    for (dy, dx), factor in zip(CORNERS, factors):
        table, *_ = torch.embedding_bag(
            grad, source, offsets, mode=0, per_sample_weights=factor, include_last_offset=True
        )
        # A corner's sum is kept at the upper left cell of its samples: move it to where the corner is.
        moved = level_views(table.view(B, M, cells, -1), level_shapes, dy, dx)
        levels = [x + y for x, y in zip(levels, moved)] if levels else moved
    return torch.cat([x.permute(0, 2, 3, 1, 4).flatten(1, 2) for x in levels], dim=1)
