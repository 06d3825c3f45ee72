"""The device side of ``triton_kernel.py``. Importing this file needs Triton.

A program treats a tile of neighbouring tokens of one head: the tile's rows are tokens, its columns the head's channels.

- The channels of a cell are contiguous, so a row of the tile takes one coalesced vector load for each corner, and what
  is per sample (the cell, the fractions, the weight) is computed once per row.
- Neighbouring tokens look at neighbouring cells, so that the samples of a tile share cache lines; programs that run at
  the same time work on the same head of the same image, whose levels fit in the L2 cache.
- A token's gradients for its samples are sums over the channels, thus over a row: no other program adds to them, so
  they need no atomics. Only the values' gradient does.

Letters: B images, T tokens that look, S tokens that are looked at, M heads, L levels, R points of a head in a level, D
channels of a head. M, L, R and D are constants of a model and thus of the compiled kernel; B, S, T and the sizes of the
levels are not, so images of new sizes compile nothing.
"""

import triton
import triton.language as tl


@triton.jit
def _tile(T, M: tl.constexpr, TILE: tl.constexpr):
    """Image b, head m and the tokens t (TILE,) of this program."""
    tiles = tl.cdiv(T, TILE)
    head = tl.program_id(0) // tiles
    t = (tl.program_id(0) % tiles) * TILE + tl.arange(0, TILE)
    # Tensors may have more than 2**31 elements, and all offsets follow from b.
    return (head // M).to(tl.int64), head % M, t


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
    """The token of a corner of each sample, and whether it exists."""
    x, y = x0 + dx, y0 + dy
    exists = inside & (x >= 0) & (x < w) & (y >= 0) & (y < h)
    return start + (y * w + x).to(tl.int64), exists


@triton.jit(do_not_specialize=['S', 'T'])
def forward_kernel(
    value,
    shapes,
    starts,
    locations,
    weights,
    out,
    S,
    T,
    M: tl.constexpr,
    L: tl.constexpr,
    R: tl.constexpr,
    D: tl.constexpr,
    TILE: tl.constexpr,
    COLUMNS: tl.constexpr,
    KIND: tl.constexpr,
):
    """Sum the samples into ``out`` (B, T, M, D), in the precision KIND."""
    b, m, t = _tile(T, M, TILE)
    d = tl.arange(0, COLUMNS)
    row_ok, column_ok = t < T, d < D
    row = (b * T + t) * M + m  # (TILE,)
    head = value + (b * S * M + m) * D + d[None, :]  # the head's channels of the image's first token
    total = tl.zeros((TILE, COLUMNS), KIND)
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
                    token, exists = _corner(x0, y0, inside, dx, dy, start, h, w)
                    share = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * weight
                    cell = tl.load(head + token[:, None] * (M * D), mask=exists[:, None] & column_ok[None, :], other=0)
                    total += share[:, None] * cell.to(KIND)
    tl.store(out + row[:, None] * D + d[None, :], total.to(out.dtype.element_ty), row_ok[:, None] & column_ok[None, :])


@triton.jit(do_not_specialize=['S', 'T'])
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
    T,
    M: tl.constexpr,
    L: tl.constexpr,
    R: tl.constexpr,
    D: tl.constexpr,
    TILE: tl.constexpr,
    COLUMNS: tl.constexpr,
    KIND: tl.constexpr,
):
    """Add to ``grad_value`` (B, S, M, D), of type KIND, and write ``grad_locations`` and ``grad_weights``."""
    b, m, t = _tile(T, M, TILE)
    d = tl.arange(0, COLUMNS)
    row_ok, column_ok = t < T, d < D
    row = (b * T + t) * M + m  # (TILE,)
    # Vectors of 4 for all types: those that suit the atomics, so that nothing moves between threads for them.
    d = tl.max_contiguous(d, min(4, COLUMNS))
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
                    token, exists = _corner(x0, y0, inside, dx, dy, start, h, w)
                    mask = exists[:, None] & column_ok[None, :]
                    offset = first + token[:, None] * (M * D)
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
