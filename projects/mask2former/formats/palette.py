"""Colours of classes."""

import functools
from collections.abc import Sequence

import cv2
import numpy as np


@functools.lru_cache(maxsize=8)
def _spread_colors(n: int) -> np.ndarray:
    """``(n, 3)`` uint8 RGB: each colour lies as far as can be, in Lab, from all before it."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing='ij'), axis=-1).reshape(-1, 1, 3)  # (M, 1, 3)
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[:, 0].astype(np.float32)  # (M, 3)
    legible = (lab[:, 0] > 75) & (lab[:, 0] < 235)  # of 255: neither black, which means void, nor white
    rgb, lab = rgb[legible, 0], lab[legible]
    chosen = [int(np.argmax(np.abs(lab[:, 1:] - 128).sum(1)))]
    distance = np.full(len(lab), np.inf, dtype=np.float32)
    for _ in range(n - 1):
        distance = np.minimum(distance, np.square(lab - lab[chosen[-1]]).sum(1))
        chosen.append(int(distance.argmax()))
    return rgb[chosen[:n]]


def hex_color(color: Sequence[int]) -> str:
    """An RGB colour as the web writes it: ``#ff8000``."""
    red, green, blue = color
    return f'#{red:02x}{green:02x}{blue:02x}'


def make_palette(n: int) -> list[tuple[int, int, int]]:
    """Make ``n`` RGB colours, always the same ones and distinct up to some 3500.

    The beginning of a longer palette is the shorter one.
    """
    return [tuple(color) for color in _spread_colors(n).tolist()]
