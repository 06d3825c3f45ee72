"""Painting segments and joining panels, with OpenCV on arrays. Images are (H, W, 3) uint8 RGB."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from .class_table import RGB

BACKGROUND = (32, 32, 36)


def drawing_size(shape: tuple[int, int], sides: tuple[int, int]) -> tuple[int, int]:
    """The size to draw an image at: its own where the longest side lies within ``sides``, else scaled to lie there.

    Args:
        shape: (H, W) of the image.
        sides: Shortest and longest allowed longest side, in pixels.

    Returns:
        tuple[int, int]: (H, W) of the drawing.
    """
    longest = max(shape)
    scale = min(max(longest, sides[0]), sides[1]) / longest
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image to (H, W)."""
    if image.shape[:2] == size:
        return image
    smaller = size[0] < image.shape[0]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def resize_map(id_map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a map of ids or a mask to (H, W); ids are never mixed."""
    if id_map.shape == size:
        return id_map
    # OpenCV resizes no bool and not everywhere int32; float64 holds every int32.
    values = id_map.astype(np.uint8) if id_map.dtype == bool else id_map.astype(np.float64)
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT).astype(id_map.dtype)


def fill_segments(
    image: np.ndarray, id_map: np.ndarray, colors: Sequence[RGB], alpha: float, dim_void: bool
) -> np.ndarray:
    """Blend the segments' colours with the image.

    Args:
        image: (H, W, 3) uint8.
        id_map: (H, W) int32; id ``i`` has colour ``i - 1``, 0 is void.
        colors: RGB colour of each segment.
        alpha: Share of the colour in 0 .. 1.
        dim_void: Whether void is darkened.

    Returns:
        np.ndarray: (H, W, 3) uint8, a new image.
    """
    table = np.zeros((len(colors) + 1, 3), np.uint8)
    table[1:] = np.asarray(colors, np.uint8).reshape(-1, 3)
    drawn = cv2.addWeighted(image, 1 - alpha, np.take(table, id_map, axis=0), alpha, 0)
    if not dim_void:
        cv2.copyTo(image, (id_map == 0).astype(np.uint8), drawn)
    return drawn


def outline_segments(image: np.ndarray, id_map: np.ndarray, width: int) -> None:
    """Draw the borders between different ids into the image, in white.

    Args:
        image: (H, W, 3) uint8, changed in place.
        id_map: (H, W) int32.
        width: Line width in pixels.
    """
    border: np.ndarray = np.zeros(id_map.shape, np.uint8)
    border[:, 1:] |= id_map[:, 1:] != id_map[:, :-1]
    border[1:] |= id_map[1:] != id_map[:-1]
    if width > 1:
        border = cv2.dilate(border, np.ones((width, width), np.uint8))
    image[border > 0] = (255, 255, 255)


def outline_masks(image: np.ndarray, masks: Iterable[np.ndarray], width: int) -> None:
    """Draw the whole outline of each mask in white, also where another segment lies over it.

    Args:
        image: (H, W, 3) uint8, changed in place.
        masks: (H, W) bool each.
        width: Line width in pixels.
    """
    for mask in masks:
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(image, contours, -1, (255, 255, 255), width)


def tile_panels(panels: Sequence[np.ndarray], gap: int) -> np.ndarray:
    """Put panels of one size side by side: up to three in one row, more in two rows.

    Args:
        panels: (H, W, 3) uint8 each.
        gap: Pixels between panels.

    Returns:
        np.ndarray: The joined picture, uint8.
    """
    columns = len(panels) if len(panels) <= 3 else (len(panels) + 1) // 2
    return tile_grid([panels[first : first + columns] for first in range(0, len(panels), columns)], gap)


def tile_grid(rows: Sequence[Sequence[np.ndarray]], gap: int) -> np.ndarray:
    """Put rows of panels of one size below each other; the first row has most.

    Args:
        rows: (H, W, 3) uint8 each.
        gap: Pixels between panels.

    Returns:
        np.ndarray: The joined picture, uint8.
    """
    height, width = rows[0][0].shape[:2]
    size = (len(rows) * (height + gap) - gap, len(rows[0]) * (width + gap) - gap, 3)
    joined = np.full(size, BACKGROUND, np.uint8)
    for y, row in enumerate(rows):
        for x, panel in enumerate(row):
            top, left = y * (height + gap), x * (width + gap)
            joined[top : top + height, left : left + width] = panel
    return joined
