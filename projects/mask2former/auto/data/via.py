"""Recognises the JSON files of the VGG Image Annotator 1 and 2: exported annotations, and projects."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from mask2former.errors import DataError

from .found import Entry, Found, thing_classes
from .json_kinds import JsonFiles
from .listing import Listing
from .malformed import malformed
from .objects import found_objects, other_images
from .places import place
from .shapes import Labels, Shape, ShapeSource, read_scene, rectangle
from .splits import group, one_a_split

LIKELY = ('class', 'label', 'category', 'type', 'name', 'object', 'species')  # names of the attribute of the class


def find(listing: Listing, files: JsonFiles) -> Found | None:
    """Recognise VIA's files.

    Raises:
        DataError: If an entry is malformed, or images are missing.
    """
    names = files.of_kind.get('VIA', [])
    if not names:
        return None
    of_split = one_a_split(listing, names, 'VIA files', 'via')
    images = {split: list(_images(files.contents[name])) for split, name in of_split.items()}
    all_regions: list[Mapping] = []
    for split, name in of_split.items():
        with malformed('A region', listing.path(name)):
            all_regions += [region for image in images[split] for region in _regions(image)]
    attribute = _attribute(all_regions)
    rows: list[tuple[str, Entry]] = []
    labels: dict[str, None] = {}
    for split, name in of_split.items():
        path = listing.path(name)
        with malformed('A region', path):
            file_names = [image['filename'] for image in images[split]]
            shapes = [tuple(_shape(region, attribute) for region in _regions(image)) for image in images[split]]
        where = place(listing, name, file_names, split).of
        for file_name, of_image in zip(file_names, shapes):
            labels |= {shape.label: None for shape in of_image if shape.label is not None and shape.kind}
            image = listing.path(where[file_name])
            rows.append((split, Entry(where[file_name], image, ShapeSource(image, of_image, path))))
    if not labels:
        raise DataError(f"'{listing.path(names[0])}' has no region with an area and a class; draw some in VIA.")
    classes = thing_classes(sorted(labels))
    splits = group(rows)
    source = f"Classes are the values of the region attribute '{attribute}'." if attribute else (
        "No region attribute says a class, so all regions are of the class 'object'."
    )  # fmt: skip
    return found_objects(
        kind='VIA',
        where=' and '.join(map(repr, of_split.values())),
        listing=listing,
        splits=splits,
        classes=classes,
        read=read_scene,
        meaning=Labels.of(classes),
        notes=(source, *other_images(listing, splits)),
    )


def _images(content: Mapping) -> Iterable[Mapping]:
    entries = content.get('_via_img_metadata', content)
    return [entry for entry in entries.values() if isinstance(entry, Mapping) and 'filename' in entry]


def _regions(image: Mapping) -> list[Mapping]:
    regions = image.get('regions') or []
    return list(regions.values()) if isinstance(regions, Mapping) else regions  # VIA 1 numbers them


def _attribute(regions: Iterable[Mapping]) -> str | None:
    """The region attribute that says the class: the one that most regions have, likely names first."""
    having: Counter[str] = Counter()
    for region in regions:
        attributes = region.get('region_attributes') if isinstance(region, Mapping) else None
        if isinstance(attributes, Mapping):
            having.update(key for key, value in attributes.items() if _text(value))

    def rank(key: str) -> tuple[int, int, str]:
        likely = LIKELY.index(key.lower()) if key.lower() in LIKELY else len(LIKELY)
        return -having[key], likely, key

    return min(having, key=rank, default=None)


def _text(value: Any) -> str | None:
    """The value of an attribute: a text, or the one box that is ticked."""
    if isinstance(value, Mapping):
        value = next((key for key, ticked in value.items() if ticked), None)
    return str(value).strip() or None if value is not None else None


def _shape(region: Mapping, attribute: str | None) -> Shape:
    shape = region['shape_attributes']
    label = _text(region['region_attributes'].get(attribute)) if attribute else 'object'
    kind = shape['name']
    if kind == 'polygon':
        points = zip(shape['all_points_x'], shape['all_points_y'])
        return Shape(label, 'polygon', tuple(float(value) for point in points for value in point))
    if kind == 'rect':
        x, y, width, height = (float(shape[key]) for key in ('x', 'y', 'width', 'height'))
        return Shape(label, 'polygon', rectangle(x, y, x + width, y + height))
    if kind == 'circle':
        radius = float(shape['r'])
        return Shape(label, 'ellipse', (float(shape['cx']), float(shape['cy']), radius, radius, 0.0))
    if kind == 'ellipse':
        values = (float(shape[key]) for key in ('cx', 'cy', 'rx', 'ry'))
        return Shape(label, 'ellipse', (*values, float(shape.get('theta', 0))))
    return Shape(label, '')
