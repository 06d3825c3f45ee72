"""Annotations that are shapes with numbers, as drawing tools write them, drawn into masks.

A pixel covers one unit of the coordinates, and its centre lies at the half: polygons are filled as COCO's are, and an
ellipse has the pixels whose centres it holds.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mask2former.data_tools.custom.scene import Layer, Scene, smaller_on_top
from mask2former.errors import DataError
from mask2former.formats.images import check_size, image_size
from mask2former.formats.rle import areas_of, encode_mask, encode_segmentation

SIZE_FIX = 'the annotation is of another image, or the image was resized: export both again'


@dataclass(frozen=True)
class Shape:
    """A shape of an image.

    Attributes:
        label: Name of its class; None where it has none.
        kind: 'polygon' (x, y, x, y, ...), 'ellipse' (centre x, y, radii, angle in radians from x to y), 'bitmap' (left,
            top, width, then the lengths of runs of 0 and 1 in turn, row by row), or '', which has no area.
        values: Its numbers in pixels.
        group: Shapes of one group are one object.
    """

    label: str | None
    kind: str
    values: tuple[float, ...] = ()
    group: int | None = None


@dataclass(frozen=True)
class ShapeSource:
    """An image, its shapes from the lowest on, the file they are in, and the image's size as that file says it."""

    image: Path
    shapes: tuple[Shape, ...]
    file: Path
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Labels:
    """The id of each class name, and whether smaller shapes lie over larger ones instead of later over earlier."""

    ids: Mapping[str, int]
    smaller_on_top: bool = True

    @classmethod
    def of(cls, classes: Iterable[Mapping], smaller_on_top: bool = True) -> 'Labels':
        """Those of classes with ``id`` and ``name``."""
        return cls({entry['name']: entry['id'] for entry in classes}, smaller_on_top)


def read_scene(source: ShapeSource, meaning: Labels) -> Scene:
    """Draw the shapes of an image.

    Raises:
        MissingFileError: If the image is absent.
        DataError: If it cannot be decoded or has another size, or a shape cannot be drawn.
    """
    size = image_size(source.image)
    if source.size is not None:
        check_size(f"The annotation in '{source.file}'", source.size, source.image, size, SIZE_FIX)
    return draw(source.image, size, source.shapes, source.file, meaning)


def draw(image: Path, size: tuple[int, int], shapes: Sequence[Shape], file: Path, meaning: Labels) -> Scene:
    """The shapes of an image of the size ``(H, W)``; those without area or class are left out and counted."""
    layers: list[Layer] = []
    for number, shape in enumerate(shapes):
        if shape.label is None or not shape.kind or (shape.kind == 'polygon' and len(shape.values) < 6):
            continue
        if shape.label not in meaning.ids:
            raise DataError(f"'{file}' has the class '{shape.label}', which its list of classes lacks; add it there.")
        try:
            rle = _encode(shape, size, image)
        except DataError:
            raise
        except (ValueError, IndexError) as error:
            raise DataError(
                f"A {shape.kind} of '{image.name}' in '{file}' cannot be drawn ({error}); correct it."
            ) from error
        if areas_of([rle])[0]:
            key = ('shape', number) if shape.group is None else ('group', shape.group)
            layers.append(Layer(rle, meaning.ids[shape.label], key))
    left_out = len(shapes) - len(layers)
    return Scene(image, size, smaller_on_top(layers) if meaning.smaller_on_top else layers, left_out=left_out)


def rectangle(left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
    """The polygon of a rectangle."""
    return (left, top, right, top, right, bottom, left, bottom)


def _encode(shape: Shape, size: tuple[int, int], image: Path) -> dict:
    if shape.kind == 'polygon':
        if len(shape.values) % 2:
            raise ValueError('it has half a point')
        return encode_segmentation([list(shape.values)], size, str(image))
    if not all(map(math.isfinite, shape.values)):
        raise ValueError('it has values that are no numbers')
    return encode_mask(_ellipse(shape.values, size) if shape.kind == 'ellipse' else _bitmap(shape.values, size))


def _ellipse(values: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """The pixels ``(H, W)`` whose centres lie in an ellipse."""
    x0, y0, rx, ry, angle = values
    if min(rx, ry) <= 0:
        return np.zeros(size, bool)
    y, x = np.ogrid[: size[0], : size[1]]
    x, y = x + 0.5 - x0, y + 0.5 - y0
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    return (along / rx) ** 2 + (across / ry) ** 2 <= 1


def _bitmap(values: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """The mask ``(H, W)`` of runs in a box."""
    left, top, width, *runs = map(int, values)
    if width <= 0 or any(run < 0 for run in runs) or sum(runs) % width or sum(runs) > size[0] * size[1]:
        raise ValueError('its runs do not fill its box')
    patch = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(-1, width)
    height = len(patch)
    if left < 0 or top < 0 or left + width > size[1] or top + height > size[0]:
        raise ValueError('its box leaves the image')
    mask = np.zeros(size, bool)
    mask[top : top + height, left : left + width] = patch
    return mask
