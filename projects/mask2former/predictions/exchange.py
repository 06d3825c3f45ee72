"""Writes results as annotations that labelling tools read, to be corrected there."""

import json
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mask2former.formats.files import write_text
from mask2former.formats.rle import decode_crop


class Shape(NamedTuple):
    """A segment: its number in the image, its class, its mask as a run-length encoding, its outlines (n, 2) xy."""

    id: int
    label: str
    rle: dict
    polygons: Sequence[np.ndarray]


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
