"""Reads LabelMe's JSON files: https://github.com/wkentaro/labelme.

Shapes are drawn as LabelMe's own tools draw them (``labelme.utils.shape_to_mask``): with Pillow, outlines included.
"""

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np
from PIL import Image, ImageDraw

from mask2former.errors import DataError, MissingFileError
from mask2former.formats.coco_values import is_file_name
from mask2former.formats.files import file_below
from mask2former.formats.images import check_size, image_size
from mask2former.formats.rle import encode_mask

from .scene import SIZE_FIX, Layer, Scene, paste, smaller_on_top

NO_AREA = ('point', 'points', 'line', 'linestrip')


@dataclass(frozen=True)
class LabelMeSource:
    """A JSON file, and its image; None where the image is in the JSON file only."""

    annotation: Path
    image: Path | None


@dataclass(frozen=True)
class LabelMeaning:
    """The category id of each label, None for void; and whether smaller shapes lie on top, instead of later ones."""

    category_ids: Mapping[str, int | None]
    smaller_on_top: bool = False


def find_annotations(folder: str | Path) -> list[Path]:
    """List the JSON files below a folder, in order.

    Raises:
        MissingFileError: If there is no such folder.
        DataError: If it has no JSON file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(f"The folder '{folder}' does not exist; give the folder of LabelMe's JSON files.")
    paths = sorted(path for path in folder.rglob('*.json') if not path.name.startswith('.'))
    if not paths:
        raise DataError(f"The folder '{folder}' has no JSON file; give the folder of LabelMe's JSON files.")
    return paths


def read_annotation(path: Path) -> dict:
    """Read a JSON file of LabelMe.

    Raises:
        DataError: If it is none.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is not valid JSON ({error}); save it again in LabelMe.") from None
    if (
        not isinstance(content, dict)
        or not isinstance(content.get('shapes'), list)
        or not is_file_name(content.get('imagePath'))
    ):
        raise DataError(f"'{path}' is no file of LabelMe (it has no 'shapes' or no 'imagePath'); remove it.")
    for index, shape in enumerate(content['shapes']):
        if not (
            isinstance(shape, dict) and isinstance(shape.get('label'), str) and isinstance(shape.get('points'), list)
        ):
            raise DataError(f"The shape {index} of '{path}' has no 'label' or no 'points'; correct it in LabelMe.")
        if not isinstance(shape.get('group_id'), int | float | str | None):
            raise DataError(f"The shape {index} of '{path}' has a 'group_id' that is no number; correct it in LabelMe.")
    return content


def read_header(path: Path) -> dict:
    """A JSON file of LabelMe with ``imageData`` as a bool: whether it holds the image, which may be large."""
    content = read_annotation(path)
    return {**content, 'imageData': bool(content.get('imageData'))}


def find_image(path: Path, content: Mapping, images: str | Path | None, root: Path) -> LabelMeSource:
    """Find the image of a JSON file: where ``imagePath`` says, else in ``images`` or beside the file.

    Args:
        path: The JSON file.
        content: What it holds.
        images: A folder of images, which may be anywhere.
        root: The folder around the JSON files, as images often are in a folder beside theirs. Out of it no
            ``imagePath`` is followed: the image would be copied into the result.

    Raises:
        MissingFileError: If it is nowhere, not even in the JSON file.
    """
    named = Path(PureWindowsPath(content['imagePath']).as_posix())  # with slashes, whatever system wrote it
    candidates = []
    with suppress(DataError):  # it leads out
        candidates.append(Path(file_below(str(path.parent), str(named), str(root))))
    if images:
        with suppress(DataError):
            candidates.append(Path(file_below(str(images), str(named))))
        candidates.append(Path(images) / named.name)
    for candidate in (*candidates, path.parent / named.name):
        if candidate.is_file():
            return LabelMeSource(path, candidate)
    if not content.get('imageData'):
        raise MissingFileError(
            f"The image '{path.parent / named}' of '{path}' does not exist, or is outside of '{root}'; add it, or say "
            'by --images where the images are.'
        )
    return LabelMeSource(path, None)


def image_name(path: Path, content: Mapping) -> Path:
    """What the image of a JSON file is called in the result: as the file, with the image's suffix."""
    return path.with_suffix(PureWindowsPath(content['imagePath']).suffix or '.png')


def read_scene(source: LabelMeSource, meaning: LabelMeaning) -> Scene:
    """Read an image with its shapes; a group of LabelMe is one instance.

    Later shapes lie over earlier ones, as in LabelMe's own ``shapes_to_label``.

    Raises:
        DataError: If the image cannot be decoded, the annotation is for another size, or a label is unknown.
    """
    content = read_annotation(source.annotation)
    image, size = _read_image(source, content)
    if content.get('imageHeight') and content.get('imageWidth'):
        check_size(
            f"The annotation '{source.annotation}'",
            (content['imageHeight'], content['imageWidth']),
            source.image or 'imageData',
            size,
            SIZE_FIX,
        )
    layers, left_out = [], 0
    for index, shape in enumerate(content['shapes']):
        if shape.get('shape_type') in NO_AREA:
            left_out += 1
            continue
        if shape['label'] not in meaning.category_ids:
            raise DataError(
                f"'{source.annotation}' has the label '{shape['label']}', which is no class; add it to "
                '--labels, or to --void if it means nothing.'
            )
        try:
            mask = shape_mask(shape, size)
        except Exception as error:
            raise DataError(
                f"The shape {index} ('{shape['label']}') of '{source.annotation}' cannot be drawn "
                f'({error}); correct it in LabelMe.'
            ) from error
        group = shape.get('group_id')
        layers.append(
            Layer(
                encode_mask(mask),
                meaning.category_ids[shape['label']],
                ('shape', index) if group is None else ('group', group),
            )
        )
    return Scene(image, size, smaller_on_top(layers) if meaning.smaller_on_top else layers, left_out=left_out)


def _read_image(source: LabelMeSource, content: Mapping) -> tuple[Path | bytes, tuple[int, int]]:
    if source.image:
        return source.image, image_size(source.image)
    try:
        data = base64.b64decode(content['imageData'])
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return data, (image.height, image.width)
    except Exception as error:
        raise DataError(
            f"The imageData of '{source.annotation}' cannot be decoded ({error}); put the image beside the file."
        ) from error


def shape_mask(shape: Mapping, size: tuple[int, int]) -> np.ndarray:
    """Draw a shape that has an area.

    Args:
        shape: Of LabelMe: ``points`` are x and y in pixels, ``shape_type`` is a polygon where it is absent,
            ``mask`` is a PNG file in base64 that lies at the first point.
        size: ``(H, W)``.

    Returns:
        ``(H, W)`` bool.

    Raises:
        ValueError: If the type is unknown or the number of points does not fit it.
    """
    kind = shape.get('shape_type') or 'polygon'
    points = [(float(x), float(y)) for x, y in shape['points']]
    if not all(math.isfinite(value) for point in points for value in point):
        raise ValueError('a point that is no number')
    needed = dict(circle=2, rectangle=2, oriented_rectangle=4, mask=2).get(kind)
    if needed is not None and len(points) != needed or kind == 'polygon' and len(points) < 3:
        raise ValueError(f'a {kind} of {len(points)} points')
    if kind == 'mask':
        return _pasted(shape['mask'], points[0], size)
    canvas = Image.new('L', (size[1], size[0]))
    draw = ImageDraw.Draw(canvas)
    if kind == 'circle':
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=1, fill=1)
    elif kind == 'rectangle':
        (left, right), (top, bottom) = (sorted(values) for values in zip(*points))
        draw.rectangle((left, top, right, bottom), outline=1, fill=1)
    elif kind in ('polygon', 'oriented_rectangle'):
        draw.polygon(points, outline=1, fill=1)
    else:
        raise ValueError(f"the shape_type '{kind}' is unknown")
    return np.asarray(canvas).astype(bool)


def _pasted(mask: str, corner: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """``(H, W)`` bool: the mask with its upper left pixel at the corner, cut off at the sides."""
    with Image.open(io.BytesIO(base64.b64decode(mask))) as image:
        patch = np.asarray(image).astype(bool)
    left, top = (int(round(value)) for value in corner)
    return paste(patch, left, top, size)


def label_classes(
    contents: Mapping[Path, Mapping], labels: str | Path | None, stuff: Sequence[str], void: Sequence[str]
) -> list[dict]:
    """The classes of some JSON files: their labels in alphabetical order, or those of a file in its order.

    Args:
        contents: The JSON files.
        labels: Text file of labels, one a line. LabelMe's ``_background_`` is no class.
        stuff: Labels that are stuff.
        void: Labels that are no class.

    Raises:
        MissingFileError: If there is no such text file.
        DataError: If a label of ``stuff`` is not there.
    """
    if labels:
        if not Path(labels).is_file():
            raise MissingFileError(f"The file of labels '{labels}' does not exist; correct --labels.")
        lines = (line.strip() for line in Path(labels).read_text(encoding='utf-8').splitlines())
        names = list(dict.fromkeys(line for line in lines if line and line != '_background_' and line not in void))
    else:
        names = sorted(
            {
                shape['label']
                for content in contents.values()
                for shape in content['shapes']
                if shape.get('shape_type') not in NO_AREA
            }
            - set(void)
        )
    unknown = [name for name in stuff if name not in names]
    if unknown:
        raise DataError(f"The label '{unknown[0]}' of --stuff is not among the labels {names}; correct the name.")
    if not names:
        raise DataError('No file has a shape with an area; nothing can be learned from them: draw some in LabelMe.')
    return [dict(id=number, name=name, isthing=int(name not in stuff)) for number, name in enumerate(names, 1)]
