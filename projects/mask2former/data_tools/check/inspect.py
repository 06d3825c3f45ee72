"""Checks of the files of one image; runs in several threads."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mask2former.datasets.semantic_png import UNKNOWN
from mask2former.errors import DataError
from mask2former.formats.class_png import read_class_ids
from mask2former.formats.images import orientation, swaps_sides

from .inspect_bands import inspect_bands, shrink
from .inspect_coco import inspect_masks, inspect_panoptic_map
from .measure import measure_map
from .report import ImageReport, size_text
from .source import Entry, Source

HASH_SIDE = 16
SHOWN_VALUES = 8
USUAL_PIXELS = 2**26
ONE_CHANNEL = ('1', 'L', 'P', 'I', 'I;16', 'I;16L', 'I;16B')  # Pillow's modes
# What Pillow, which is used here, and OpenCV, which a training uses, read alike.
READ_ALIKE = ('JPEG', 'PNG', 'BMP', 'WEBP')


def inspect(entry: Entry, source: Source, headers_only: bool) -> ImageReport:
    """Check the image and its annotation.

    Args:
        entry: The image.
        source: Its split.
        headers_only: Only that the files are there and their headers give the right size.
    """
    report = ImageReport()
    _inspect_image(entry, source, headers_only, report)
    if source.form == 'instance':
        # A size that is not the image's may be any, and a terabyte of masks.
        if not headers_only and (report.size == entry.size or (report.size is None and _is_usual(entry))):
            inspect_masks(entry, source, report)
    elif entry.map_path is not None and _inspect_map_header(entry, entry.map_path, source, report) and not headers_only:
        inspect_map = _inspect_class_ids if source.form == 'semantic' else inspect_panoptic_map
        inspect_map(entry, entry.map_path, source, report)
    return report


def _is_usual(entry: Entry) -> bool:
    return entry.size is not None and entry.size[0] * entry.size[1] <= USUAL_PIXELS


def _open(path: str, entry: Entry, report: ImageReport, *, missing: str, corrupt: str) -> Image.Image | None:
    """Open a file, of which only the header is read, or report one of the two kinds."""
    try:
        return Image.open(path)
    except FileNotFoundError:
        report.problems.add(missing, entry.id, f'{path} is not there')
    except Exception as error:  # Pillow raises many types on files that are no images
        report.problems.add(corrupt, entry.id, f'{path}: {error}')
    return None


def _inspect_image(entry: Entry, source: Source, headers_only: bool, report: ImageReport) -> None:
    if source.settings.bands is not None:
        picture = inspect_bands(entry, source.settings.bands, headers_only, report)
        if picture is not None:
            report.picture_hash = _hash_of(shrink(picture, (HASH_SIDE, HASH_SIDE + 1)))
        return
    image = _open(entry.path, entry, report, missing='missing image', corrupt='corrupt image')
    if image is None:
        return
    with image:
        _check_size(image, entry, source, report)
        if headers_only:
            return
        try:
            content = Path(entry.path).read_bytes()
            report.file_hash = hashlib.blake2b(content, digest_size=16).digest()
            gray = _decode(image, content)
        except Exception as error:
            report.problems.add('corrupt image', entry.id, f'{entry.path}: {error}')
            return
    small = Image.fromarray(gray).resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX)
    report.picture_hash = _hash_of(np.asarray(small, dtype=np.int16))


def _decode(image: Image.Image, content: bytes) -> np.ndarray:
    """The grey values ``(H, W)`` uint8 of an opened file of this content.

    OpenCV decides what can be read, as in a training; in the usual formats Pillow does, which reads the same files and
    refuses those that are cut short, which OpenCV fills with grey.
    """
    if image.format in READ_ALIKE:
        return np.asarray(image.convert('L'))
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise DataError(
            f'OpenCV, which reads the images of a training, cannot decode {image.format} of mode {image.mode}; '
            'save it as a PNG of 8 bits'
        )
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2GRAY)


def _hash_of(gray: np.ndarray) -> np.ndarray:
    """The perceptual hash ``(32,)`` uint8 of a picture ``(16, 17)``: where it becomes brighter to the right."""
    return np.packbits(gray[:, 1:] > gray[:, :-1])


def _check_size(image: Image.Image, entry: Entry, source: Source, report: ImageReport) -> None:
    """Set the size of the image as the pipeline loads it, and compare it with that of the JSON file."""
    # To look for EXIF in a file whose header has none would decode it.
    turn = orientation(image) if source.settings.turns and 'exif' in image.info else 1
    report.size = image.size[::-1] if swaps_sides(turn) else image.size
    turned = f', turned by its EXIF orientation {turn}' if turn in range(2, 9) else ''
    if entry.size is not None and report.size != entry.size:
        fix = ": save it upright, or load it with color_type='color_ignore_orientation'" if turned else ''
        text = f'{entry.path} is {size_text(report.size)}{turned}, the JSON file says {size_text(entry.size)}{fix}'
        report.problems.add('wrong size', entry.id, text)
    elif turned:
        text = f'{entry.path} is loaded{turned}: see that its annotation is, too'
        report.problems.add('turned by EXIF', entry.id, text)


def _inspect_map_header(entry: Entry, path: str, source: Source, report: ImageReport) -> bool:
    """Check the header of the PNG; returns whether its pixels can be read."""
    image = _open(path, entry, report, missing='missing map', corrupt='corrupt map')
    if image is None:
        return False
    with image:
        expected = entry.size or report.size
        if expected is not None and image.size != expected:
            than = 'the JSON file says' if entry.size else 'its image is'
            text = f'{path} is {size_text(image.size)}, {than} {size_text(expected)}'
            report.problems.add('wrong size', entry.id, text)
        if image.format == 'JPEG':
            text = f'{path} is a JPEG file, which does not keep ids: make it a PNG'
            report.problems.add('lossy map', entry.id, text)
        if source.form == 'semantic' and image.mode not in ONE_CHANNEL:
            text = f'{path} is of mode {image.mode}: it must have one channel (or a palette) whose values are class ids'
            report.problems.add('no class ids', entry.id, text)
            return False
    return True


def _inspect_class_ids(entry: Entry, path: str, source: Source, report: ImageReport) -> None:
    """Report values without a meaning, and measure each class as one segment."""
    try:
        values = read_class_ids(path)  # (H, W)
    except DataError as error:
        report.problems.add('corrupt map', entry.id, str(error))
        return
    labels = source.labels_of(values)
    unknown = labels == UNKNOWN
    if unknown.any():
        found, counts = np.unique(values[unknown], return_counts=True)
        report.unknown_values.update(dict(zip(found.tolist(), counts.tolist())))
        shown = ', '.join(f'{v} ({n} pixels)' for v, n in report.unknown_values.most_common(SHOWN_VALUES))
        more = ' ...' if len(found) > SHOWN_VALUES else ''
        text = f'{path} has values that are neither a class nor ignore_index: {shown}{more}'
        report.problems.add('unknown value', entry.id, text)
    seg_map = np.maximum(labels + 1, 0)
    measured = measure_map(seg_map, len(source.categories))
    measured['category'] = np.arange(len(measured))
    report.segments = measured[measured['area'] > 0]
    report.void_share = float((seg_map == 0).mean())
