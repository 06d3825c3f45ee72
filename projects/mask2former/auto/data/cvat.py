"""Recognises the XML files that CVAT exports as "CVAT for images"."""

import math
from xml.etree.ElementTree import Element

from mask2former.errors import DataError

from .found import Entry, Found, thing_classes
from .json_kinds import JsonFiles
from .listing import Listing
from .objects import found_objects, other_images
from .places import place
from .shapes import Labels, Shape, ShapeSource, read_scene
from .splits import group, split_of_file, split_of_folders, split_word
from .xml_files import read_xml, root_tag

SHAPES = ('polygon', 'mask', 'ellipse', 'box', 'polyline', 'points', 'cuboid', 'skeleton')


def find(listing: Listing, files: JsonFiles) -> Found | None:
    """Recognise CVAT's files.

    Raises:
        DataError: If one is not valid, is of a video, or has boxes only, or images are missing.
    """
    names = [name for name in listing.ending('.xml') if root_tag(listing.path(name)) == 'annotations']
    if not names:
        return None
    rows: list[tuple[str, Entry]] = []
    labels: dict[str, None] = {}
    kinds: set[str] = set()
    for name in names:
        path, root = listing.path(name), read_xml(listing.path(name))
        if root.find('track') is not None:
            raise DataError(f"'{path}' has the tracks of a video; export the task as 'CVAT for images'.")
        images = root.findall('image')
        labels |= {label.text.strip(): None for label in root.iterfind('.//labels/label/name') if label.text}
        where = place(listing, name, [image.get('name', '') for image in images], split_of_file(name)).of
        for image in images:
            below = where[image.get('name', '')]
            found = [element for element in image if element.tag in SHAPES]
            kinds |= {element.tag for element in found}
            try:
                found.sort(key=lambda element: int(element.get('z_order') or 0))
                shapes = tuple(map(_shape, found))
                size = (int(image.attrib['height']), int(image.attrib['width']))
            except (KeyError, ValueError) as error:
                raise DataError(
                    f"A shape of the image '{image.get('name')}' in '{path}' is malformed ({type(error).__name__}: "
                    f'{error}); export it again.'
                ) from error
            labels |= {shape.label: None for shape in shapes if shape.label is not None and root.find('meta') is None}
            split = split_word(image.get('subset') or '') or split_of_folders(below) or split_of_file(name)
            file = listing.path(below)
            rows.append((split, Entry(below, file, ShapeSource(file, shapes, path, size))))
    if not kinds & {'polygon', 'mask', 'ellipse'}:
        what = 'boxes' if 'box' in kinds else 'no shapes'
        raise DataError(
            f"'{listing.path(names[0])}' has {what} only; masks, polygons or ellipses are needed to learn masks."
        )
    classes = thing_classes(labels)
    splits = group(rows)
    return found_objects(
        kind='CVAT',
        where=' and '.join(map(repr, names)),
        listing=listing,
        splits=splits,
        classes=classes,
        read=read_scene,
        meaning=Labels.of(classes, smaller_on_top=False),
        notes=other_images(listing, splits),
    )


def _shape(element: Element) -> Shape:
    """A shape; boxes are no masks and have none here."""
    label, get = element.attrib['label'], element.attrib
    group_id = int(get.get('group_id') or 0) or None
    if element.tag == 'polygon':
        numbers = get['points'].replace(';', ',').split(',')
        return Shape(label, 'polygon', tuple(map(float, numbers)), group_id)
    if element.tag == 'ellipse':
        values = (float(get[key]) for key in ('cx', 'cy', 'rx', 'ry'))
        return Shape(label, 'ellipse', (*values, math.radians(float(get.get('rotation', 0)))), group_id)
    if element.tag == 'mask':
        box = (float(get[key]) for key in ('left', 'top', 'width'))
        return Shape(label, 'bitmap', (*box, *map(float, get['rle'].split(','))), group_id)
    return Shape(label, '')
