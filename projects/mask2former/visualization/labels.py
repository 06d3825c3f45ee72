"""Labels on segments: where they go, and writing them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mask2former.errors import MissingFileError

from .class_table import RGB
from .draw import BACKGROUND

Box = tuple[int, int, int, int]
# How much of a segment's colour its label box has.
BOX_SHADE = 0.33
# A label that would cover more than this share of its segment goes beside it.
MOST_COVERED = 0.5


@dataclass
class Label:
    """A placed label: its text, a point (x, y) of the segment that it names, and its box (x0, y0, x1, y1), which
    lies on that point or beside the segment."""

    text: str
    color: RGB
    anchor: tuple[int, int]
    box: Box


@lru_cache(maxsize=16)
def load_font(size: int, font_file: str | None = None) -> ImageFont.FreeTypeFont:
    """Load a font.

    Args:
        size: Height in pixels.
        font_file: A TrueType file. By default DejaVu Sans, which comes with matplotlib and has the Latin, Greek and
            Cyrillic letters.

    Raises:
        MissingFileError: If ``font_file`` is no readable font.
    """
    import matplotlib  # a second, and only pictures need it

    path = font_file or str(Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf'))
    try:
        return ImageFont.truetype(path, size)
    except OSError as error:
        raise MissingFileError(f"The font '{path}' cannot be read: give a TrueType file.") from error


def _box_size(text: str, font: ImageFont.FreeTypeFont) -> tuple[int, int]:
    """Width and height of the box around a text: the same height for all texts, so that rows of labels look even."""
    ascent, descent = font.getmetrics()
    padding = max(2, round(font.size / 6))
    return int(np.ceil(font.getlength(text))) + 2 * padding, ascent + descent + padding // 2


def _find_place(
    depth: np.ndarray, offset: tuple[int, int], size: tuple[int, int], shape: tuple[int, int], taken: Sequence[Box]
) -> tuple[tuple[int, int], Box] | None:
    """Find a deep point whose label box is free: of those nearly as deep as the deepest, the one next to the middle.

    Args:
        depth: (h, w) float, how deep each pixel lies inside the segment; 0 is outside.
        offset: (x, y) of ``depth`` in the image.
        size: Width and height of the label.
        shape: (H, W) of the image, which no box leaves.
        taken: Boxes of the labels placed before.

    Returns:
        tuple[tuple[int, int], Box] | None: The point and the box, or None where nothing is free.
    """
    xs, ys = offset[0] + np.arange(depth.shape[1]), offset[1] + np.arange(depth.shape[0])
    # The box of every pixel at once: centred on it, pushed back into the image.
    lefts = np.clip(xs - size[0] // 2, 0, max(0, shape[1] - size[0]))
    tops = np.clip(ys - size[1] // 2, 0, max(0, shape[0] - size[1]))
    free = depth.copy()
    for x0, y0, x1, y1 in taken:
        columns = np.flatnonzero((lefts < x1) & (lefts + size[0] > x0))
        rows = np.flatnonzero((tops < y1) & (tops + size[1] > y0))
        if len(columns) and len(rows):  # both are runs, for lefts and tops rise
            free[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = 0
    deepest = free.max()
    if deepest <= 0:
        return None
    moments = cv2.moments(depth)
    middle = moments['m01'] / moments['m00'], moments['m10'] / moments['m00']
    rows, columns = np.nonzero(free >= 0.8 * deepest)
    nearest = np.argmin((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2)
    y, x = rows[nearest], columns[nearest]
    left, top = int(lefts[x]), int(tops[y])
    return (int(xs[x]), int(ys[y])), (left, top, left + size[0], top + size[1])


def _find_place_beside(
    around: Box, size: tuple[int, int], shape: tuple[int, int], taken: Sequence[Box], small: np.ndarray
) -> Box | None:
    """Find a place below, above, right or left of a segment, where no label is and no small segment.

    Args:
        around: Box of the segment.
        size: Width and height of the label.
        shape: (H, W) of the image, which no box leaves.
        taken: Boxes of the labels placed before.
        small: (H, W) bool, the segments that are small against their labels.

    Returns:
        Box | None: The box, or None where nothing is free.
    """
    x0, y0, x1, y1 = around
    width, height = size
    left = min(max(0, (x0 + x1 - width) // 2), shape[1] - width)
    top = min(max(0, (y0 + y1 - height) // 2), shape[0] - height)
    columns, rows = (left, x0, x1 - width), (top, y0, y1 - height)  # in the middle, or flush with a side
    places = [(x, y) for x in columns for y in (y1, y0 - height)] + [(x, y) for y in rows for x in (x1, x0 - width)]
    for x, y in places:
        box = x, y, x + width, y + height
        inside = x >= 0 and y >= 0 and box[2] <= shape[1] and box[3] <= shape[0]
        if inside and not small[y : box[3], x : box[2]].any() and not any(_overlap(box, other) for other in taken):
            return box
    return None


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def place_labels(
    id_map: np.ndarray, texts: Sequence[str], colors: Sequence[RGB], font: ImageFont.FreeTypeFont
) -> list[Label]:
    """Place a label deep inside each segment that has room for one, the largest segments first, then beside the others.

    Args:
        id_map: (H, W) int32; id ``i`` has text ``i - 1``, 0 is void.
        texts: Text of each segment.
        colors: RGB colour of each segment.
        font: The font that will write them.

    Returns:
        list[Label]: The labels. Boxes never overlap, and none covers a segment that is small against its label, unless
        a larger one has no other place. A segment that is much smaller than a label, thin, hidden, or without a free
        place has none.
    """
    areas = np.bincount(id_map.ravel(), minlength=len(texts) + 1)
    sizes = [_box_size(text, font) for text in texts]
    # By the height alone: a score in the text must not decide which segments have a label.
    numbers = [i for i in range(1, len(texts) + 1) if areas[i] >= 1.5 * sizes[i - 1][1] ** 2]
    is_small = np.zeros(len(areas), dtype=bool)
    for i, (width, height) in enumerate(sizes, 1):
        is_small[i] = MOST_COVERED * areas[i] < width * height
    small = is_small[id_map]  # (H, W)
    ys, xs = np.nonzero(small)  # few pixels
    owners = id_map[ys, xs]
    boxes: dict[int, Box] = {}
    for i in np.unique(owners).tolist():
        at_x, at_y = xs[owners == i], ys[owners == i]
        boxes[i] = int(at_x.min()), int(at_y.min()), int(at_x.max()) + 1, int(at_y.max()) + 1
    labels: list[Label] = []
    for number in sorted(numbers, key=lambda i: (is_small[i], -areas[i])):
        size = sizes[number - 1]
        mask = (id_map == number).astype(np.uint8)
        x, y, w, h = cv2.boundingRect(mask)
        # A frame of zeros: the border of the image is a border of the segment.
        inside = cv2.copyMakeBorder(mask[y : y + h, x : x + w], 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_3)[1:-1, 1:-1]
        if 2 * depth.max() < 0.4 * size[1]:
            continue
        taken = [label.box for label in labels]
        found: tuple[tuple[int, int], Box] | None
        if is_small[number]:
            box = _find_place_beside(boxes[number], size, id_map.shape, taken, small)
            row, column = np.unravel_index(depth.argmax(), depth.shape)
            found = None if box is None else ((x + int(column), y + int(row)), box)
        else:
            found = _find_place(depth, (x, y), size, id_map.shape, [*taken, *boxes.values()])
            found = found or _find_place(depth, (x, y), size, id_map.shape, taken)
        if found is not None:
            labels.append(Label(texts[number - 1], colors[number - 1], *found))
    return labels


def draw_labels(image: np.ndarray, labels: Sequence[Label], font: ImageFont.FreeTypeFont) -> np.ndarray:
    """Write labels: white on a dark shade of the segment's colour, framed in that colour.

    A third of any colour is so dark that white has a contrast of 7 or more to it (WCAG 2.1, AAA).

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: From :func:`place_labels`.
        font: The font they were placed for.

    Returns:
        np.ndarray: (H, W, 3) uint8, a new image.
    """
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    for label in labels:
        x0, y0, x1, y1 = label.box
        shade = tuple(round(BOX_SHADE * part) for part in label.color)
        pen.rectangle((x0, y0, x1 - 1, y1 - 1), fill=shade, outline=tuple(label.color))
        pen.text(((x0 + x1) / 2, (y0 + y1) / 2), label.text, fill=(255, 255, 255), font=font, anchor='mm')
    return np.asarray(canvas)


def add_caption(image: np.ndarray, text: str, font: ImageFont.FreeTypeFont) -> np.ndarray:
    """Put a strip with a text above an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        text: The caption.
        font: Its font.

    Returns:
        np.ndarray: (H + strip, W, 3) uint8.
    """
    height = _box_size(text, font)[1]
    strip = Image.new('RGB', (image.shape[1], height), BACKGROUND)
    ImageDraw.Draw(strip).text((font.size / 2, height / 2), text, fill=(255, 255, 255), font=font, anchor='lm')
    return np.concatenate([np.asarray(strip), image])
