"""A picture that follows one query through the decoder: its mask, where it may look, where it looked."""

from pathlib import Path

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from .attention import LayerAttention
from .attention_mass import Looked, mass_inside

ROWS = ('its mask before', 'where it may look', 'where it looked')


def draw_strip(image: Looked, segment: int, path: str | Path) -> None:
    """Draw the query of a segment: a column for each layer, and one for the result, the truth and the image.

    Args:
        image: What the model did with an image.
        segment: Which of the image's segments.
        path: File to write; its ending says the format.
    """
    size = (image.inputs.shape[2], image.inputs.shape[3])
    query = int(image.queries[segment])
    grey = image.inputs[0].mean(0).cpu()  # (H, W)
    count = len(image.layers)
    masks = [enlarge(image.output.mask_logits(d)[0, query], size) >= 0 for d in range(len(image.output.mask_embed))]
    before = [None] * (count + 1 - len(masks)) + masks  # the last one is the result
    figure = Figure(figsize=(1.9 * (count + 1), 6), layout='constrained')
    axes = figure.subplots(3, count + 1, squeeze=False)
    for axis in axes.flat:
        axis.imshow(grey, cmap='gray')
        axis.set(xticks=[], yticks=[])
    for column, layer in enumerate(image.layers):
        inside = float(mass_inside(layer, 0, image.queries, image.masks.to(image.inputs.device))[segment])
        axes[0, column].set_title(f'layer {column + 1}, {"+".join(f"{h}×{w}" for h, w in layer.sizes)}', fontsize=9)
        _paint(axes[0, column], before[column], 'none yet')
        allowed = None if layer.mask is None else spread(layer.mask[0, query].float(), layer, size) > 0
        _paint(axes[1, column], allowed, 'everywhere')
        looked = spread(layer.weights[0, query], layer, size)
        axes[2, column].imshow(looked, cmap='inferno', alpha=0.8)
        axes[2, column].set_xlabel(f'{inside:.2f} in the object', fontsize=9)
    _paint(axes[0, count], before[count], '')
    axes[0, count].set_title('result', fontsize=9)
    _paint(axes[1, count], image.masks[segment], '')
    axes[1, count].set_title('truth', fontsize=9)
    axes[2, count].set_title('image', fontsize=9)
    for axis, text in zip(axes[:, 0], ROWS):
        axis.set_ylabel(text, fontsize=9)
    figure.savefig(path, dpi=80)


def enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    """A map (h, w) at another size, between its values on straight lines."""
    return F.interpolate(x[None, None].cpu(), size=size, mode='bilinear', align_corners=False)[0, 0]


def spread(values: Tensor, layer: LayerAttention, size: tuple[int, int]) -> Tensor:
    """Values (S,) of a layer's tokens as a map (H, W), each over its cell; those of several levels are added up."""
    total = torch.zeros(size)
    for (h, w), part in zip(layer.sizes, values.cpu().split([h * w for h, w in layer.sizes])):
        total += F.interpolate(part.view(1, 1, h, w), size=size, mode='nearest-exact')[0, 0]
    return total


def _paint(axis, mask: Tensor | None, otherwise: str) -> None:
    """Lay a mask (H, W) over a panel; where there is none, write why."""
    if mask is None:
        axis.text(0.5, 0.5, otherwise, transform=axis.transAxes, ha='center', color='white', fontsize=9)
    else:
        axis.imshow(torch.where(mask, 1.0, torch.nan), cmap='spring', vmin=0, vmax=1, alpha=0.6)
