"""The device side of ``triton.py``. Importing this file needs Triton.

A program works on a tile of neighbouring queries of one head: its rows are queries, its columns the head's channels.

- The channels of a cell are contiguous, so a row of the tile takes one coalesced vector load for each corner, and what
  is per sample (the cell, the fractions, the weight) is computed once per row.
- Neighbouring queries sample neighbouring cells, so that the samples of a tile share cache lines; programs that run at
  the same time work on the same head of the same image, whose levels fit in the L2 cache.
- A query's gradients for its samples are sums over the channels, thus over a row: no other program adds to them, so
  they need no atomics. Only the values' gradient does.

Letters: B images, Q queries, S values, M heads, L levels, R points of a head in a level, D channels of a head. M, L, R
and D are constants of a model and thus of the compiled kernel; B, S, Q and the levels' sizes are not, so images of new
sizes compile nothing.
"""

import triton
import triton.language as tl


@triton.jit
def _tile(Q, M: tl.constexpr, BLOCK_QUERIES: tl.constexpr):
    """Image b, head m and the queries q (BLOCK_QUERIES,) of this program."""
    tiles = tl.cdiv(Q, BLOCK_QUERIES)
    head = tl.program_id(0) // tiles
    q = (tl.program_id(0) % tiles) * BLOCK_QUERIES + tl.arange(0, BLOCK_QUERIES)
    # Tensors may have more than 2**31 elements, and all offsets follow from b.
    return (head // M).to(tl.int64), head % M, q


@triton.jit
def _locate(locations, ok, h, w, KIND: tl.constexpr):
    """The cell left above each sample (x0, y0), the fractions (fx, fy) beyond it, and where a corner can be inside."""
    x = tl.load(locations, mask=ok, other=0).to(KIND) * w - 0.5
    y = tl.load(locations + 1, mask=ok, other=0).to(KIND) * h - 0.5
    # False for NaN, too. What is not inside is never converted to an integer.
    inside = ok & (x >= -1) & (x < w) & (y >= -1) & (y < h)
    x, y = tl.where(inside, x, 0), tl.where(inside, y, 0)
    x0, y0 = tl.floor(x), tl.floor(y)
    return x0.to(tl.int32), y0.to(tl.int32), x - x0, y - y0, inside


@triton.jit
def _corner(x0, y0, inside, dx: tl.constexpr, dy: tl.constexpr, start, h, w):
    """The index of the value at a corner of each sample, and whether it exists."""
    x, y = x0 + dx, y0 + dy
    exists = inside & (x >= 0) & (x < w) & (y >= 0) & (y < h)
    return start + (y * w + x).to(tl.int64), exists


@triton.jit(do_not_specialize=['S', 'Q'])
def forward_kernel(
    value,
    shapes,
    starts,
    locations,
    weights,
    out,
    S,
    Q,
    M: tl.constexpr,
    L: tl.constexpr,
    R: tl.constexpr,
    D: tl.constexpr,
    BLOCK_QUERIES: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
    KIND: tl.constexpr,
):
    """Sum the samples into ``out`` (B, Q, M, D), in the precision KIND."""
    b, m, q = _tile(Q, M, BLOCK_QUERIES)
    d = tl.arange(0, BLOCK_CHANNELS)
    row_ok, column_ok = q < Q, d < D
    row = (b * Q + q) * M + m  # (BLOCK_QUERIES,)
    head = value + (b * S * M + m) * D + d[None, :]  # the head's channels of the image's first value
    total = tl.zeros((BLOCK_QUERIES, BLOCK_CHANNELS), KIND)
    for level in tl.static_range(L):
        h = tl.load(shapes + 2 * level).to(tl.int32)
        w = tl.load(shapes + 2 * level + 1).to(tl.int32)
        start = tl.load(starts + level)
        for point in tl.static_range(R):
            sample = row * (L * R) + level * R + point
            x0, y0, fx, fy, inside = _locate(locations + 2 * sample, row_ok, h, w, KIND)
            weight = tl.load(weights + sample, mask=row_ok, other=0).to(KIND)
            for dy in tl.static_range(2):
                for dx in tl.static_range(2):
                    cell, exists = _corner(x0, y0, inside, dx, dy, start, h, w)
                    share = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * weight
                    corner = tl.load(head + cell[:, None] * (M * D), mask=exists[:, None] & column_ok[None, :], other=0)
                    total += share[:, None] * corner.to(KIND)
    tl.store(out + row[:, None] * D + d[None, :], total.to(out.dtype.element_ty), row_ok[:, None] & column_ok[None, :])


@triton.jit(do_not_specialize=['S', 'Q'])
def backward_kernel(
    grad_out,
    value,
    shapes,
    starts,
    locations,
    weights,
    grad_value,
    grad_locations,
    grad_weights,
    S,
    Q,
    M: tl.constexpr,
    L: tl.constexpr,
    R: tl.constexpr,
    D: tl.constexpr,
    BLOCK_QUERIES: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
    KIND: tl.constexpr,
):
    """Add to ``grad_value`` (B, S, M, D), of type KIND, and write ``grad_locations`` and ``grad_weights``."""
    b, m, q = _tile(Q, M, BLOCK_QUERIES)
    d = tl.arange(0, BLOCK_CHANNELS)
    row_ok, column_ok = q < Q, d < D
    row = (b * Q + q) * M + m  # (BLOCK_QUERIES,)
    # Vectors of 4 for all types: those that suit the atomics, so that nothing moves between threads for them.
    d = tl.max_contiguous(d, min(4, BLOCK_CHANNELS))
    first = (b * S * M + m) * D + d[None, :]
    grad = tl.load(grad_out + row[:, None] * D + d[None, :], mask=row_ok[:, None] & column_ok[None, :], other=0)
    grad = grad.to(KIND)
    for level in tl.static_range(L):
        h = tl.load(shapes + 2 * level).to(tl.int32)
        w = tl.load(shapes + 2 * level + 1).to(tl.int32)
        start = tl.load(starts + level)
        for point in tl.static_range(R):
            sample = row * (L * R) + level * R + point
            x0, y0, fx, fy, inside = _locate(locations + 2 * sample, row_ok, h, w, KIND)
            weight = tl.load(weights + sample, mask=row_ok, other=0).to(KIND)
            grad_x, grad_y, grad_weight = tl.zeros_like(fx), tl.zeros_like(fx), tl.zeros_like(fx)
            for dy in tl.static_range(2):
                for dx in tl.static_range(2):
                    cell, exists = _corner(x0, y0, inside, dx, dy, start, h, w)
                    mask = exists[:, None] & column_ok[None, :]
                    offset = first + cell[:, None] * (M * D)
                    along_x, along_y = fx if dx else 1 - fx, fy if dy else 1 - fy
                    share = along_x * along_y * weight
                    tl.atomic_add(grad_value + offset, share[:, None] * grad, mask, sem='relaxed')
                    # What the output would gain if this corner had the weight 1.
                    gain = tl.sum(grad * tl.load(value + offset, mask=mask, other=0).to(KIND), axis=1)
                    grad_weight += along_x * along_y * gain
                    grad_x += (along_y if dx else -along_y) * gain
                    grad_y += (along_x if dy else -along_x) * gain
            kind = grad_locations.dtype.element_ty
            tl.store(grad_locations + 2 * sample, (grad_x * weight * w).to(kind), row_ok)
            tl.store(grad_locations + 2 * sample + 1, (grad_y * weight * h).to(kind), row_ok)
            tl.store(grad_weights + sample, grad_weight.to(grad_weights.dtype.element_ty), row_ok)
