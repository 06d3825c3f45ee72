"""Convolutions of size 3 with a fourth of the products, on CPUs: Winograd's minimal filtering (arXiv 1509.09308).

F(4×4, 3×3): a tile of 4×4 outputs comes from 6×6 inputs. Both, and the 3×3 weights, are polynomials, whose products are
computed from their values at six points in each direction: 36 products of channels a tile instead of 144. The points
decide the error in float32: with 0, ±√½ and ±√2 it is about twice that of oneDNN's convolution (1e-6 of the outputs,
root mean square), with 0, ±1 and ±2, as in the paper, twice that again.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .product import add_batched_product, batched_product, takes_onednn

TILE = 4  # outputs a side
SIDE = TILE + 2  # inputs a side, and points
POINTS = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))  # the sixth is infinity
# The transforms grow with the sum of the channels, the products with their product; below these nothing is won.
MIN_CHANNELS = 128
MIN_OUTPUTS = 1024
TILES_AT_ONCE = 256  # what is computed of one tile's 128 to 512 channels stays in the caches


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``torch.nn.functional.conv2d(x, weight, bias, padding=1)`` of a kernel of size 3.

    Args:
        x: (B, in, H, W).
        weight: (out, in, 3, 3).
        bias: (out,).

    Returns:
        (B, out, H, W), in channels-last order where Winograd's algorithm computed it.
    """
    if not takes_winograd(x, weight):
        return F.conv2d(x, weight, bias, padding=1)
    return _Conv3x3.apply(x, weight, bias)


class Conv3x3(nn.Conv2d):
    """``torch.nn.Conv2d`` of size 3, padded by 1, through :func:`conv3x3`."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in, H, W) to (B, out, H, W)."""
        return conv3x3(x, self.weight, self.bias)


def takes_winograd(x: Tensor, weight: Tensor) -> bool:
    """Whether the algorithm can compute this convolution, and faster."""
    if torch.compiler.is_compiling() or not takes_onednn(x, weight):
        return False
    channels, inner = weight.shape[:2]
    mean = 2 * channels * inner / (channels + inner)  # harmonic
    return mean >= MIN_CHANNELS and x.shape[0] * x.shape[2] * x.shape[3] >= MIN_OUTPUTS


def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """What takes a tile's inputs (6·6), weights (3·3) and outputs (4·4) to the 36 points: (36, 36), (36, 9), (36, 16).

    Toom and Cook's construction: weights and outputs are evaluated at the points, the inputs multiplied with Lagrange's
    polynomials, whose denominators go to the weights.
    """
    points = torch.tensor(POINTS, dtype=torch.float64)
    inputs, weights, outputs = (torch.zeros(SIDE, n, dtype=torch.float64) for n in (SIDE, 3, TILE))
    for i, point in enumerate(points):
        others = torch.cat([points[:i], points[i + 1 :]])
        inputs[i, : SIDE - 1] = _coefficients(others)
        weights[i] = point ** torch.arange(3) / (point - others).prod()
        outputs[i] = point ** torch.arange(TILE)
    inputs[-1] = _coefficients(points)
    weights[-1, -1] = outputs[-1, -1] = 1
    inputs, weights, outputs = (torch.kron(m, m).float() for m in (inputs, weights, outputs))
    return inputs, weights, outputs


def _coefficients(roots: Tensor) -> Tensor:
    """The coefficients of the polynomial with these roots, those of low powers first."""
    out = torch.ones(1, dtype=roots.dtype)
    for root in roots:
        out = F.pad(out, (1, 0)) - root * F.pad(out, (0, 1))
    return out


with torch.device('cpu'):  # whatever the default is when this is imported
    INPUTS, WEIGHTS, OUTPUTS = _transforms()


class _Conv3x3(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        # The gradient of x is a convolution of the output's with the kernels turned around.
        grad_x = _convolve(grad, weight.flip(2, 3).transpose(0, 1), None) if need_x else None
        grad_weight = _weight_gradient(x, grad) if need_weight else None
        return grad_x, grad_weight, grad.sum((0, 2, 3)) if need_bias else None


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x (B, in, H, W), weight (out, in, 3, 3), bias (out,) -> (B, out, H, W) in channels-last order."""
    (batch, _, height, width), (channels, inner) = x.shape, weight.shape[:2]
    kernels = (WEIGHTS @ weight.reshape(-1, 9).T).view(-1, channels, inner)  # (36, out, in)
    padded = _pad(x, 1)
    down, across = _grid(height, width)
    size = (batch, channels, down * TILE, across * TILE)
    out = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    tiled = out.permute(0, 2, 3, 1).view(batch, down, TILE, across, TILE, channels)
    for images, rows in _chunks(batch, down, across):
        tiles = _input_tiles(padded, images, rows)  # (36, t, in)
        values = batched_product(tiles, kernels)  # (36, t, out)
        pixels = (OUTPUTS.T @ values.view(SIDE * SIDE, -1)).view(TILE * TILE, -1, channels)  # (16, t, out)
        if bias is not None:
            pixels += bias
        part = tiled[images, rows]  # (b, r, 4, across, 4, out)
        part.copy_(pixels.view(TILE, TILE, len(part), -1, across, channels).permute(2, 3, 0, 4, 1, 5))
    if out.shape[2:] == x.shape[2:]:
        return out
    return out[:, :, :height, :width].clone(memory_format=torch.channels_last)  # autograd wants no view here


def _weight_gradient(x: Tensor, grad: Tensor) -> Tensor:
    """x (B, in, H, W), the output's gradient (B, out, H, W) -> (out, in, 3, 3)."""
    (batch, inner, height, width), channels = x.shape, grad.shape[1]
    padded, grad = _pad(x, 1), _pad(grad, 0)
    out = x.new_zeros(SIDE * SIDE, channels, inner)
    for images, rows in _chunks(batch, *_grid(height, width)):
        tiles = _input_tiles(padded, images, rows)  # (36, t, in)
        grads = OUTPUTS @ _tiles(grad[images, rows.start * TILE : rows.stop * TILE], TILE)  # (36, t·out)
        add_batched_product(out, grads.view(SIDE * SIDE, -1, channels).transpose(1, 2), tiles.transpose(1, 2))
    return (WEIGHTS.T @ out.view(SIDE * SIDE, -1)).T.reshape(channels, inner, 3, 3)


def _grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of tiles."""
    return -(-height // TILE), -(-width // TILE)


def _pad(x: Tensor, border: int) -> Tensor:
    """(B, C, H, W) -> (B, H', W', C) with a border of zeros, and more at the right and bottom where tiles need them."""
    batch, channels, height, width = x.shape
    down, across = _grid(height, width)
    out = x.new_zeros(batch, down * TILE + 2 * border, across * TILE + 2 * border, channels)
    out[:, border : border + height, border : border + width] = x.permute(0, 2, 3, 1)
    return out


def _chunks(batch: int, down: int, across: int) -> Iterator[tuple[slice, slice]]:
    """Images and rows of tiles that are computed at once."""
    num_images = max(1, TILES_AT_ONCE // (down * across))
    num_rows = down if num_images > 1 else max(1, TILES_AT_ONCE // across)
    for image in range(0, batch, num_images):
        for row in range(0, down, num_rows):
            yield slice(image, image + num_images), slice(row, min(row + num_rows, down))


def _input_tiles(padded: Tensor, images: slice, rows: slice) -> Tensor:
    """The values at the points (36, t, in) of the tiles in some rows of the padded inputs (B, H', W', in)."""
    part = padded[images, rows.start * TILE : rows.stop * TILE + 2]
    return (INPUTS @ _tiles(part, SIDE)).view(SIDE * SIDE, -1, padded.shape[-1])


def _tiles(x: Tensor, side: int) -> Tensor:
    """Tiles of a side at steps of 4: (B, H, W, C) -> (side², tiles·C)."""
    tiles = x.unfold(1, side, TILE).unfold(2, side, TILE)  # (B, rows, columns, C, side, side)
    return tiles.permute(4, 5, 0, 1, 2, 3).reshape(side * side, -1)
