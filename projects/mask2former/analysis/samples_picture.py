"""A picture of what deformable attention samples for one pixel, layer by layer."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .encoder_samples import PixelSamples

COLORS = ('#ff5252', '#ffd740', '#40c4ff', '#69f0ae')  # of the levels, from coarse to fine


def draw_samples(
    levels: list[list[PixelSamples]], pixel: tuple[float, float], photo: np.ndarray, path: str | Path
) -> None:
    """Draw the samples: a row for each level that the pixel is of, a column for each layer.

    A dot is a sample, its colour the level that it is taken from, its size its weight.

    Args:
        levels: Of each level and layer, the samples.
        pixel: (x, y), 0 to 1 over the photo.
        photo: (H, W, 3), the network's input as one sees it.
        path: File to write; its ending says the format.
    """
    height, width = photo.shape[:2]
    figure = Figure(figsize=(2.4 * len(levels[0]), 2.5 * len(levels)), layout='constrained')
    axes = figure.subplots(len(levels), len(levels[0]), squeeze=False)
    for row, layers in enumerate(levels):
        for column, (axis, samples) in enumerate(zip(axes[row], layers)):
            axis.imshow(photo)
            axis.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
            for source in range(samples.weights.shape[1]):
                x, y = (samples.locations[:, source].reshape(-1, 2).cpu().float().numpy() * (width, height)).T
                weights = samples.weights[:, source].flatten().cpu().float().numpy()
                axis.scatter(x, y, s=90 * weights, color=COLORS[source % len(COLORS)], alpha=0.8, linewidth=0)
            axis.plot(pixel[0] * width, pixel[1] * height, '+', color='white', markersize=9)
            if row == 0:
                axis.set_title(f'layer {column + 1}', fontsize=9)
        axes[row, 0].set_ylabel(f'pixel of level {row + 1}', fontsize=9)
    figure.savefig(path, dpi=80)
