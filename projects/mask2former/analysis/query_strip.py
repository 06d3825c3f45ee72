"""Pictures that follow one query through the decoder: its mask, where it may look, where it and each head looked."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from .query_view import QueryView, enlarge

ROWS = ('its mask before', 'where it may look', 'where it looked')


def draw_strip(view: QueryView, photo: np.ndarray, path: str | Path, target: str = 'truth') -> None:
    """Draw a query: a column for each layer, and one for the result, the object and the image.

    Args:
        view: What the query did.
        photo: (H, W) or (H, W, 3), the network's input as one sees it.
        path: File to write; its ending says the format.
        target: What the object is called that attention is held against.
    """
    size = (photo.shape[0], photo.shape[1])
    count = len(view.layers)
    figure = Figure(figsize=(1.9 * (count + 1), 6), layout='constrained')
    axes = figure.subplots(3, count + 1, squeeze=False)
    _show(axes, photo)
    for column, layer in enumerate(view.layers):
        axes[0, column].set_title(f'layer {column + 1}, {"+".join(f"{h}×{w}" for h, w in layer.sizes)}', fontsize=9)
        before = view.before(column)
        _paint(axes[0, column], None if before is None else enlarge(before, size) >= 0.5, 'none yet')
        _paint(axes[1, column], layer.allowed, 'everywhere', size)
        _glow(axes[2, column], layer.heads.mean(0), size)
        axes[2, column].set_xlabel(f'{layer.inside:.2f} in the object', fontsize=9)
    _paint(axes[0, count], enlarge(view.masks[-1], size) >= 0.5, '')
    axes[0, count].set_title('result', fontsize=9)
    _paint(axes[1, count], view.object, '')
    axes[1, count].set_title(target, fontsize=9)
    axes[2, count].set_title('image', fontsize=9)
    for axis, text in zip(axes[:, 0], ROWS):
        axis.set_ylabel(text, fontsize=9)
    figure.savefig(path, dpi=80)


def draw_heads(view: QueryView, photo: np.ndarray, path: str | Path) -> None:
    """Draw where each head of each layer looked: a row for each head, a column for each layer.

    Args:
        view: What the query did.
        photo: (H, W) or (H, W, 3), the network's input as one sees it.
        path: File to write; its ending says the format.
    """
    size, heads = (photo.shape[0], photo.shape[1]), len(view.layers[0].heads)
    figure = Figure(figsize=(1.6 * len(view.layers), 1.7 * heads), layout='constrained')
    axes = figure.subplots(heads, len(view.layers), squeeze=False)
    _show(axes, photo)
    for column, layer in enumerate(view.layers):
        axes[0, column].set_title(f'layer {column + 1}', fontsize=9)
        for axis, head in zip(axes[:, column], layer.heads):
            _glow(axis, head, size)
    for number, axis in enumerate(axes[:, 0], 1):
        axis.set_ylabel(f'head {number}', fontsize=9)
    figure.savefig(path, dpi=80)


def _show(axes: np.ndarray, photo: np.ndarray) -> None:
    for axis in axes.flat:
        axis.imshow(photo, cmap='gray')
        axis.set(xticks=[], yticks=[])


def _glow(axis, weights: Tensor, size: tuple[int, int]) -> None:
    """Lay where was looked (h, w) over a panel, cell by cell."""
    axis.imshow(weights, cmap='inferno', alpha=0.8, extent=(-0.5, size[1] - 0.5, size[0] - 0.5, -0.5))


def _paint(axis, mask: Tensor | None, otherwise: str, size: tuple[int, int] | None = None) -> None:
    """Lay a mask (h, w) over a panel of ``size``, by default its own; where there is none, write why."""
    if mask is None:
        axis.text(0.5, 0.5, otherwise, transform=axis.transAxes, ha='center', color='white', fontsize=9)
        return
    h, w = size or mask.shape
    painted = torch.where(mask, 1.0, torch.nan)
    axis.imshow(painted, cmap='spring', vmin=0, vmax=1, alpha=0.6, extent=(-0.5, w - 0.5, h - 0.5, -0.5))
