"""Recognises Supervisely's projects: meta.json, and for each data set folders ``img`` and ``ann``."""

import base64
import io
import json
import posixpath
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mask2former.data_tools.custom.scene import Layer, Scene, paste
from mask2former.errors import DataError
from mask2former.formats.images import check_size, image_size
from mask2former.formats.rle import encode_mask

from .found import Entry, Found, thing_classes
from .json_kinds import JsonFiles
from .listing import Listing, folder_of
from .malformed import MALFORMED
from .objects import found_objects, other_images
from .shapes import SIZE_FIX, Labels
from .splits import group, split_of_folders

MASKS = ('polygon', 'bitmap', 'any')  # geometries of classes that may have masks
MOST_BYTES = 1 << 26  # of a PNG file; more is no mask


@dataclass(frozen=True)
class SuperviselySource:
    """An image and its annotation."""

    image: Path
    file: Path


def find(listing: Listing, files: JsonFiles) -> Found | None:
    """Recognise a project.

    Raises:
        DataError: If meta.json is missing, or no class has masks, or images are missing.
    """
    names = files.of_kind.get('Supervisely', [])
    metas = files.of_kind.get('Supervisely meta', [])
    if not names:
        return None
    if len(metas) != 1:
        raise DataError(
            f"'{listing.path(names[0])}' is of a Supervisely project, which needs one meta.json with its classes, but "
            f"there are {len(metas)} below '{listing.root}'; give the folder of one project."
        )
    entries = files.contents[metas[0]]['classes']
    kept = [str(entry['title']) for entry in entries if entry.get('shape', 'any') in MASKS]
    if not kept:
        raise DataError(
            f"'{listing.path(metas[0])}' has no class of polygons or bitmaps; masks are learned from these."
        )
    classes = thing_classes(kept)
    rows, lost = [], []
    for name in names:
        base = posixpath.basename(name)[: -len('.json')]
        folder = posixpath.join(posixpath.dirname(folder_of(name)), 'img')
        image = _image(listing, folder, base)
        if image is None:
            lost.append(name)
        else:
            path = listing.path(image)
            source = SuperviselySource(path, listing.path(name))
            rows.append((split_of_folders(image), Entry(image, path, source, (source.file,))))
    if lost:
        raise DataError(
            f"{len(lost)} of the {len(names)} annotations have no image, such as '{listing.path(lost[0])}': put the "
            "images into the folder 'img' beside 'ann'."
        )
    splits = group(rows)
    return found_objects(
        kind='Supervisely',
        where=repr(metas[0]),
        listing=listing,
        splits=splits,
        classes=classes,
        read=read_scene,
        meaning=Labels.of(classes),
        notes=other_images(listing, splits),
    )


def read_scene(source: SuperviselySource, meaning: Labels) -> Scene:
    """Draw the objects of an image, later ones over earlier ones; those that are no masks are left out and counted.

    Polygons go through the centres of pixels, as the tool draws them: an outline belongs to them, that of a hole not.

    Raises:
        DataError: If a file cannot be read, or is not as it must be.
    """
    size = image_size(source.image)
    try:
        content = json.loads(source.file.read_bytes())
        check_size(
            f"'{source.file}'", (content['size']['height'], content['size']['width']), source.image, size, SIZE_FIX
        )
        layers, left_out = [], 0
        for number, entry in enumerate(content['objects']):
            if entry['classTitle'] not in meaning.ids or entry['geometryType'] not in ('polygon', 'bitmap'):
                left_out += 1
                continue
            mask = (
                _polygon(entry['points'], size)
                if entry['geometryType'] == 'polygon'
                else _bitmap(entry['bitmap'], size)
            )
            layers.append(Layer(encode_mask(mask), meaning.ids[entry['classTitle']], number))
    except DataError:
        raise
    except (*MALFORMED, cv2.error, zlib.error) as error:
        reason = ' '.join(str(error).split())[:150]
        raise DataError(f"'{source.file}' is malformed ({type(error).__name__}: {reason}); export it again.") from error
    return Scene(source.image, size, layers, left_out=left_out)


def _image(listing: Listing, folder: str, base: str) -> str | None:
    """The image of an annotation, whose name is the image's with .json after it; older ones leave its suffix out."""
    if posixpath.join(folder, base) in listing.known:
        return posixpath.join(folder, base)
    found = [name for name in listing.folders.get(folder, []) if posixpath.splitext(name)[0] == base]
    return posixpath.join(folder, found[0]) if len(found) == 1 else None


def _polygon(points: Mapping, size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [_corners(points['exterior'])], (1,))
    for hole in points.get('interior') or ():
        cv2.fillPoly(mask, [_corners(hole)], (0,))
    return mask.astype(bool)


def _corners(points: Sequence) -> np.ndarray:
    corners = np.asarray(points, dtype=float).reshape(-1, 2)
    if not np.isfinite(corners).all() or np.abs(corners).max(initial=0) > 1e6 or len(corners) < 3:
        raise ValueError('a polygon has values that are no coordinates, or less than three points')
    return np.round(corners).astype(np.int32)


def _bitmap(bitmap: Mapping, size: tuple[int, int]) -> np.ndarray:
    unpack = zlib.decompressobj()
    png = unpack.decompress(base64.b64decode(bitmap['data']), MOST_BYTES)
    try:
        with Image.open(io.BytesIO(png)) as header:
            pixels = header.width * header.height
    except Exception:  # the decoders raise what they like
        raise ValueError('a bitmap is no PNG file') from None
    if pixels > 4 * size[0] * size[1]:  # some kilobytes could decode to gigabytes
        raise ValueError('a bitmap is larger than its image')
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or unpack.unconsumed_tail:
        raise ValueError('a bitmap is no PNG file')
    channels = image.reshape(*image.shape[:2], -1)  # (h, w, C)
    patch = channels[..., 3 if channels.shape[2] == 4 else 0] > 0
    left, top = (int(value) for value in bitmap['origin'])
    return paste(patch, left, top, size)
