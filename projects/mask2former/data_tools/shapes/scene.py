"""The scenes of the `shapes` data set: flat shapes before textured grounds, and exactly which pixel shows which.

All lengths are shares of the shorter image side, so that scenes look alike at every size.
"""

import colorsys
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

# The ids have gaps, as COCO's have: a reader that takes an id for a label is found out.
CATEGORIES: tuple[dict[str, Any], ...] = (
    dict(id=1, name='circle', supercategory='shape', isthing=1, color=[230, 74, 62]),
    dict(id=2, name='square', supercategory='shape', isthing=1, color=[64, 124, 224]),
    dict(id=3, name='triangle', supercategory='shape', isthing=1, color=[246, 172, 38]),
    dict(id=5, name='star', supercategory='shape', isthing=1, color=[150, 78, 206]),
    dict(id=6, name='ring', supercategory='shape', isthing=1, color=[232, 92, 164]),
    dict(id=11, name='sky', supercategory='ground', isthing=0, color=[142, 202, 240]),
    dict(id=12, name='grass', supercategory='ground', isthing=0, color=[104, 172, 84]),
    dict(id=13, name='water', supercategory='ground', isthing=0, color=[34, 132, 150]),
    dict(id=15, name='bricks', supercategory='ground', isthing=0, color=[172, 104, 84]),
)
MIN_AREA = 24 / 128**2  # least visible area of a segment, in squared shorter sides

IDS = {category['name']: category['id'] for category in CATEGORIES}
THINGS = tuple(category['name'] for category in CATEGORIES if category['isthing'])
_SUPERSAMPLE = 4
_MIN_VISIBLE = 0.5  # share of a thing's outline that stays in sight
_HUES = dict(sky=(0.5, 0.72), grass=(0.12, 0.42), water=(0.4, 0.66), bricks=(-0.06, 0.12))


@dataclass
class Scene:
    """A drawn picture and its segments.

    Attributes:
        image: ``(H, W, 3)`` uint8, BGR.
        segment_map: ``(H, W)`` int32, every pixel's position in ``category_ids``.
        category_ids: The category of each of the N segments, all of which are visible.
    """

    image: np.ndarray
    segment_map: np.ndarray
    category_ids: tuple[int, ...]


def draw_scene(rng: np.random.Generator, size: tuple[int, int] = (128, 128)) -> Scene:
    """Draw 2 to 4 grounds and 2 to 7 things before them, which may hide each other and leave the picture in part.

    Args:
        rng: Decides everything about the scene.
        size: (height, width) in pixels.
    """
    canvas = _Canvas(*draw_grounds(rng, size))
    for _ in range(rng.integers(2, 8)):
        _add_thing(rng, canvas)
    noisy = canvas.image + rng.normal(0, 0.008, canvas.image.shape)
    present, compact = np.unique(canvas.segments, return_inverse=True)  # a ground may have been hidden altogether
    return Scene(
        image=np.clip(noisy * 255 + 0.5, 0, 255).astype(np.uint8),
        segment_map=compact.reshape(size).astype(np.int32),
        category_ids=tuple(canvas.category_ids[index] for index in present),
    )


class _Canvas:
    """A scene in the making.

    Args:
        image: ``(H, W, 3)`` float32 BGR in [0, 1].
        segments: ``(H, W)`` int32, positions in ``category_ids``.
        category_ids: The category of each ground.
    """

    def __init__(self, image: np.ndarray, segments: np.ndarray, category_ids: list[int]) -> None:
        self.image = image
        self.segments = segments
        self.category_ids = category_ids
        self.unit = min(segments.shape)
        self.visible = np.bincount(segments.ravel(), minlength=len(category_ids))  # pixels of each segment
        self.needed = np.full(len(category_ids), MIN_AREA * self.unit**2)  # pixels that must stay in sight
        self.centres: list[np.ndarray] = []  # (2,) xy of each thing

    def lost(self, window: tuple[slice, slice], footprint: np.ndarray) -> np.ndarray:
        """(N,) pixels that each segment loses to a footprint, (h, w) bool, in the window."""
        return np.bincount(self.segments[window][footprint], minlength=len(self.category_ids))

    def accepts(self, window: tuple[slice, slice], footprint: np.ndarray) -> bool:
        """Whether every segment keeps as much as it needs below the footprint."""
        lost = self.lost(window, footprint)
        return not np.any((lost > 0) & (self.visible - lost < self.needed))

    def add(
        self, window: tuple[slice, slice], footprint: np.ndarray, category_id: int, needed: float, centre: np.ndarray
    ) -> None:
        """Note a thing that has been painted on top of all others."""
        self.visible = np.append(self.visible - self.lost(window, footprint), footprint.sum())
        self.needed = np.append(self.needed, needed)
        self.segments[window][footprint] = len(self.category_ids)
        self.category_ids.append(category_id)
        self.centres.append(centre)


def color_of(hue: float, saturation: float, value: float) -> np.ndarray:
    """BGR in [0, 1] of a colour whose hue wraps around at 1."""
    return np.array(colorsys.hsv_to_rgb(hue % 1, min(saturation, 1), min(value, 1))[::-1], np.float32)


def _noise(rng: np.random.Generator, size: tuple[int, int], cells_y: float, cells_x: float) -> np.ndarray:
    """(H, W) smooth noise of about [-1, 1] with so many cells along the shorter side, at every image size."""
    unit = min(size)
    grid = (max(2, round(cells_y * size[0] / unit)), max(2, round(cells_x * size[1] / unit)))
    return cv2.resize(rng.uniform(-1, 1, grid).astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)


def _texture(rng: np.random.Generator, name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``(H, W, 3)`` BGR in [0, 1]: one ground over all pixels; ``x`` and ``y`` are ``(H, W)``, in shorter sides."""
    size = x.shape
    # A part of the grounds has any hue at all, so that the texture has to be looked at.
    hue = rng.uniform() if rng.uniform() < 0.25 else rng.uniform(*_HUES[name])
    base = color_of(hue, rng.uniform(0.25, 0.6), rng.uniform(0.5, 0.85))
    angle = rng.uniform(-0.35, 0.35)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if name == 'sky':
        far = color_of(hue + rng.uniform(-0.08, 0.08), rng.uniform(0.1, 0.35), rng.uniform(0.85, 1))
        blend = np.clip(across + 0.15 * _noise(rng, size, 4, 3), 0, 1)
        return base + blend[..., None] * (far - base)
    if name == 'grass':
        shade = 0.22 * _noise(rng, size, 30, 90) + 0.14 * _noise(rng, size, 60, 128) + 0.06 * _noise(rng, size, 6, 6)
        return base * (1 + shade[..., None])
    if name == 'water':
        bend = 0.018 * np.sin(2 * np.pi * (along * rng.uniform(2.5, 4) + rng.uniform()))
        wave = np.sin(2 * np.pi * ((across + bend) * rng.uniform(11, 15) + rng.uniform()))
        shade = 0.16 * wave + 0.05 * _noise(rng, size, 8, 5)
        return base * (1 + shade[..., None]) + 0.12 * np.maximum(wave[..., None] - 0.6, 0)
    height, width, joint = 0.075, 0.16, 0.013  # what is left are bricks
    row = np.floor(across / height)
    shifted = along / width + 0.5 * (row % 2)
    column = np.floor(shifted)
    edge = np.minimum(
        np.minimum(across / height - row, row + 1 - across / height) * height,
        np.minimum(shifted - column, column + 1 - shifted) * width,
    )
    tones = rng.uniform(0.82, 1.18, 1024).astype(np.float32)
    brick = base * tones[(row * 37 + column).astype(np.int64) % 1024][..., None]
    mortar = color_of(hue, 0.08, rng.uniform(0.75, 0.95))
    inside = np.clip((edge - joint / 2) * min(size) + 0.5, 0, 1)[..., None]
    return mortar + inside * (brick - mortar)


def draw_grounds(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Lay the grounds over each other as bands with wavy borders in one slanting direction.

    Returns:
        The picture ``(H, W, 3)`` float32 BGR, the segment map ``(H, W)`` int32 and the category id of each segment.
    """
    unit = min(size)
    y, x = (axis.astype(np.float32) / unit + 0.5 / unit for axis in np.mgrid[: size[0], : size[1]])
    count = rng.choice([2, 3, 4], p=[0.45, 0.4, 0.15])
    names = [str(name) for name in rng.permutation(list(_HUES))[:count]]
    image = _texture(rng, names[0], x, y).astype(np.float32)
    segments = np.zeros(size, np.int32)
    direction = rng.uniform(0, 2 * np.pi)
    for index in range(1, count):
        angle = direction + rng.uniform(-0.25, 0.25)
        depth = x * np.cos(angle) + y * np.sin(angle)
        sideways = y * np.cos(angle) - x * np.sin(angle)
        for waves, height in ((rng.uniform(0.8, 1.6), 0.05), (rng.uniform(2, 4), 0.018)):
            depth = depth + height * np.sin(2 * np.pi * (waves * sideways + rng.uniform()))
        border = np.quantile(depth, (index + rng.uniform(-0.2, 0.2)) / count)
        cover = np.clip((depth - border) * unit + 0.5, 0, 1)
        image += cover[..., None] * (_texture(rng, names[index], x, y) - image)
        segments[cover >= 0.5] = index
    return image, segments, [IDS[name] for name in names]


def outline(name: str, radius: float, turn: float) -> list[np.ndarray]:
    """Closed contours, each (n, 2) xy around 0, of a thing about as large as a circle of `radius`; the second one,
    where there is one, is a hole."""
    corners, scales, pull = dict(
        circle=(64, (1.0,), 1.0),
        square=(4, (1.22,), 1.0),
        triangle=(3, (1.4,), 1.0),
        star=(10, (1.45,), 0.45),
        ring=(64, (1.12, 0.58), 1.0),
    )[name]
    angles = turn + np.arange(corners) * 2 * np.pi / corners
    distances = np.where(np.arange(corners) % 2, pull, 1.0) * radius
    points = np.stack([np.cos(angles), np.sin(angles)], 1) * distances[:, None]
    return [points * scale for scale in scales]


def coverage(
    contours: list[np.ndarray], box: tuple[int, int, int, int], rim: float | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """How much of every pixel of `box` (left, top, right, bottom) lies inside the contours, (h, w) float32 in [0, 1];
    and, where `rim` is given, how much lies inside and at most `rim` pixels away from a contour."""
    left, top, right, bottom = box
    fine = np.zeros(((bottom - top) * _SUPERSAMPLE, (right - left) * _SUPERSAMPLE), np.uint8)
    # OpenCV's integer coordinates are pixel centres, ours are pixel corners; 4 bits hold the fraction.
    fixed = [np.rint(((points - (left, top)) * _SUPERSAMPLE - 0.5) * 16).astype(np.int32) for points in contours]
    cv2.fillPoly(fine, fixed, 255, shift=4)

    def shrink(mask: np.ndarray) -> np.ndarray:
        return cv2.resize(mask, (right - left, bottom - top), interpolation=cv2.INTER_AREA).astype(np.float32) / 255

    if rim is None:
        return shrink(fine), None
    lines = np.zeros_like(fine)
    cv2.polylines(lines, fixed, True, 255, max(1, round(2 * rim * _SUPERSAMPLE)), shift=4)
    return shrink(fine), shrink(lines & fine)


def _add_thing(rng: np.random.Generator, canvas: _Canvas) -> None:
    """Put one thing on top, where enough of it and of all others is visible; where twenty positions are not so, the
    canvas is left unchanged."""
    size, unit = canvas.segments.shape, canvas.unit
    name = str(rng.choice(THINGS))
    shape = outline(name, rng.uniform(7.5, 19) / 128 * unit, rng.uniform(0, 2 * np.pi))
    areas = [cv2.contourArea(points.astype(np.float32)) for points in shape]
    needed = max(MIN_AREA * unit**2, _MIN_VISIBLE * (areas[0] - sum(areas[1:])))
    reach = np.abs(shape[0]).max() + 0.06 * unit  # with room for the shadow
    for _ in range(20):
        centre = rng.uniform(0.06, 0.94, 2) * size[::-1]
        if canvas.centres and rng.uniform() < 0.35:  # near another one, so that things hide each other
            near = canvas.centres[rng.integers(len(canvas.centres))] + rng.normal(0, 0.15 * unit, 2)
            centre = np.clip(near, 0, size[::-1])
        box = box_around(centre, reach, size)
        window = slice(box[1], box[3]), slice(box[0], box[2])
        contours = [points + centre for points in shape]
        inside, rim = coverage(contours, box, rim=0.009 * unit)
        footprint = inside >= 0.5
        if footprint.sum() >= needed and canvas.accepts(window, footprint):
            break
    else:
        return
    fill, slope = draw_look(rng)
    paint(canvas.image, contours, box, (inside, rim), centre, reach, fill, slope)
    canvas.add(window, footprint, IDS[name], needed, centre)


def box_around(centre: np.ndarray, reach: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The pixels (left, top, right, bottom) within `reach` of a point xy, cut at the picture's border."""
    left, top = (int(value) for value in np.maximum(centre - reach, 0))
    right, bottom = (int(value) for value in np.minimum(np.ceil(centre + reach), size[::-1]))
    return left, top, right, bottom


def draw_look(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The colour of a thing, (3,) BGR in [0, 1], and how the light on it changes from side to side, (2,) xy."""
    return color_of(rng.uniform(), rng.uniform(0.35, 1), rng.uniform(0.5, 1)), rng.uniform(-0.2, 0.2, 2)


def paint(
    image: np.ndarray,
    contours: list[np.ndarray],
    box: tuple[int, int, int, int],
    covers: tuple[np.ndarray, np.ndarray | None],
    centre: np.ndarray,
    reach: float,
    fill: np.ndarray,
    slope: np.ndarray,
) -> None:
    """Paint a thing and its shadow onto a picture ``(H, W, 3)`` float32; ``covers`` are those of :func:`coverage`."""
    (left, top, right, bottom), (inside, rim), unit = box, covers, min(image.shape[:2])
    window = slice(top, bottom), slice(left, right)
    shadow, _ = coverage([points + 0.02 * unit for points in contours], box)
    shadow = cv2.GaussianBlur(shadow, (0, 0), 0.012 * unit)
    rows, columns = np.mgrid[top:bottom, left:right]
    light = 1 + (slope[0] * (rows - centre[1]) + slope[1] * (columns - centre[0])) / reach
    surface = np.clip(fill * light[..., None], 0, 1) * (1 - 0.45 * (rim / np.maximum(inside, 1e-6))[..., None])
    image[window] *= 1 - 0.35 * shadow[..., None]
    image[window] += inside[..., None] * (surface - image[window])
