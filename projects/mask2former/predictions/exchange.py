"""Writes results as annotations that labelling tools read, to be corrected there."""

import json
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mask2former.formats.files import write_text
from mask2former.formats.palette import hex_color
from mask2former.formats.rle import decode_crop, decode_mask

_COUNT_SIZES = 3, 4, 8, 16  # bits of the counts in Label Studio's masks


class Shape(NamedTuple):
    """A segment: its number in the image, its class, its mask as a run-length encoding, its outlines (n, 2) xy, its
    score."""

    id: int
    label: str
    rle: dict
    polygons: Sequence[np.ndarray]
    score: float | None = None


def labelme(name: str, size: tuple[int, int], shapes: Iterable[Shape], path: str | os.PathLike | None = None) -> dict:
    """LabelMe's JSON content of an image of ``size`` (H, W): polygons, those of a segment in one group."""
    content: dict[str, Any] = dict(
        version='5.5.0',
        flags={},
        shapes=[
            dict(label=shape.label, points=polygon.tolist(), group_id=shape.id, shape_type='polygon', flags={})
            for shape in shapes
            for polygon in shape.polygons
        ],
        imagePath=name,
        imageData=None,
        imageHeight=size[0],
        imageWidth=size[1],
    )
    if path is not None:
        write_text(os.fspath(path), json.dumps(content) + '\n')
    return content


def cvat(
    images: Iterable[tuple[int, str, tuple[int, int], Iterable[Shape]]], path: str | os.PathLike | None = None
) -> str:
    """CVAT's XML for images (1.1), of (id, file name, (H, W), shapes) each: masks, as runs within their boxes."""
    root = ET.Element('annotations')
    ET.SubElement(root, 'version').text = '1.1'
    for image_id, name, (height, width), shapes in images:
        image = ET.SubElement(root, 'image', id=str(image_id), name=name, width=str(width), height=str(height))
        for shape in shapes:
            crop, y, x = decode_crop(shape.rle)
            h, w = crop.shape
            inside = crop.ravel()  # row after row
            ends = np.flatnonzero(np.diff(inside)) + 1
            runs = np.diff([0, *ends, len(inside)]).tolist()
            if inside.size and inside[0]:
                runs = [0, *runs]  # the first run is of background
            ET.SubElement(
                image,
                'mask',
                label=shape.label,
                source='auto',
                occluded='0',
                rle=', '.join(map(str, runs)),
                left=str(x),
                top=str(y),
                width=str(w),
                height=str(h),
                z_order='0',
            )
    ET.indent(root)
    text = '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding='unicode') + '\n'
    if path is not None:
        write_text(os.fspath(path), text)
    return text


def label_studio(
    name: str,
    size: tuple[int, int],
    shapes: Iterable[Shape],
    path: str | os.PathLike | None = None,
    *,
    image: str | None = None,
    polygons: bool = False,
) -> list[dict]:
    """Label Studio's tasks with a prediction, of one image of ``size`` (H, W), for a project with the labelling
    interface of :func:`label_studio_interface`.

    Args:
        name: File name of the image.
        size: (H, W).
        shapes: The segments.
        path: Where it is written, if anywhere.
        image: Where Label Studio finds the image: an address, or ``data:`` and the image itself; by default ``name``.
        polygons: Outlines, each for itself and without holes, which are moved point by point, instead of exact masks,
            which are painted.
    """
    regions = [region for shape in shapes for region in (_outlines if polygons else _brush)(shape, size)]
    common = dict(from_name='label', to_name='image', original_width=size[1], original_height=size[0], image_rotation=0)
    result = [dict(common, id=f'{number:04}', **region) for number, region in enumerate(regions, 1)]
    tasks: list[dict] = [
        dict(data=dict(image=image or name), predictions=[dict(model_version='mask2former', result=result)])
    ]
    if path is not None:
        write_text(os.fspath(path), json.dumps(tasks) + '\n')
    return tasks


def label_studio_interface(colors: Mapping[str, Sequence[int]], polygons: bool = False) -> str:
    """The labelling interface (XML) of a Label Studio project, of the classes and their RGB colours."""
    view = ET.Element('View')
    ET.SubElement(view, 'Image', name='image', value='$image', zoom='true')
    labels = ET.SubElement(view, 'PolygonLabels' if polygons else 'BrushLabels', name='label', toName='image')
    for label, color in colors.items():
        ET.SubElement(labels, 'Label', value=label, background=hex_color(color))
    ET.indent(view)
    return ET.tostring(view, encoding='unicode') + '\n'


def _brush(shape: Shape, size: tuple[int, int]) -> Iterable[dict]:
    value = dict(format='rle', rle=_rle_pack(decode_mask(shape.rle)), brushlabels=[shape.label])
    yield dict(type='brushlabels', value=value, **_score(shape))


def _outlines(shape: Shape, size: tuple[int, int]) -> Iterable[dict]:
    for polygon in shape.polygons:
        percent = (100 * polygon / size[::-1]).round(4).tolist()
        yield dict(
            type='polygonlabels', value=dict(points=percent, closed=True, polygonlabels=[shape.label]), **_score(shape)
        )


def _score(shape: Shape) -> dict[str, float]:
    return {} if shape.score is None else dict(score=shape.score)


def _rle_pack(mask: np.ndarray) -> list[int]:
    """A mask (H, W) bool as the bytes that Label Studio's brush has: its four channels, all alike, in the code of
    https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack.

    A head (32 bits: how many values; 5: bits of a value less 1; 4 each: four sizes of counts less 1), then runs: a 1, 2
    bits for which size, the count less 1 in it, the value.
    """
    values = mask.ravel()  # row after row
    starts = np.flatnonzero(np.diff(values, prepend=~values[:1]))
    lengths = 4 * np.diff(starts, append=len(values))
    bits = [f'{4 * len(values):032b}', f'{8 - 1:05b}', *(f'{size - 1:04b}' for size in _COUNT_SIZES)]
    for start, length in zip(starts.tolist(), lengths.tolist()):
        value = '11111111' if values[start] else '00000000'
        while length:
            count = min(length, 1 << _COUNT_SIZES[-1])
            index, size = next((i, size) for i, size in enumerate(_COUNT_SIZES) if count <= 1 << size)
            bits.append(f'1{index:02b}{count - 1:0{size}b}{value}')
            length -= count
    return np.packbits(np.frombuffer(''.join(bits).encode('ascii'), np.uint8) - ord('0')).tolist()
