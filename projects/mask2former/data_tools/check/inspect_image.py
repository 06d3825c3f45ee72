"""Checks of the files of one image; runs in several threads."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from mask2former.formats.images import orientation, swaps_sides

from .finding import Finding
from .inspect_instances import inspect_masks
from .inspect_panoptic import inspect_panoptic_map
from .inspect_semantic import NO_CLASS_IDS, inspect_class_ids
from .problem import Problem
from .source import Entry, Source

HASH_SIDE = 16


def inspect(entry: Entry, source: Source, headers_only: bool) -> Finding:
    """Check the image and its annotation.

    Args:
        entry (Entry): The image.
        source (Source): Its split.
        headers_only (bool): Only that the files are there and their headers give the right size.
    """
    finding = Finding()
    _inspect_image(entry, source, headers_only, finding)
    if source.form == 'instance':
        if not headers_only:
            inspect_masks(entry, source, finding)
    elif entry.map_path is not None and _inspect_map_header(entry, source, finding) and not headers_only:
        (inspect_class_ids if source.form == 'semantic' else inspect_panoptic_map)(entry, source, finding)
    return finding


def _open(entry: Entry, path: str, what: str, finding: Finding) -> Image.Image | None:
    """Open a file; only the header is read."""
    try:
        return Image.open(path)
    except FileNotFoundError:
        finding.problems.append(Problem(f'missing {what}', entry.id, f'{path} is not there'))
    except Exception as error:  # Pillow raises many types on files that are no images
        finding.problems.append(Problem(f'corrupt {what}', entry.id, f'{path}: {error}'))
    return None


def _inspect_image(entry: Entry, source: Source, headers_only: bool, finding: Finding) -> None:
    image = _open(entry, entry.path, 'image', finding)
    if image is None:
        return
    with image:
        _check_size(image, entry, source, finding)
        if headers_only:
            return
        try:
            finding.digest = hashlib.blake2b(Path(entry.path).read_bytes(), digest_size=16).digest()
            image.load()
            small = image.convert('L').resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX)
        except Exception as error:
            finding.problems.append(Problem('corrupt image', entry.id, f'{entry.path}: {error}'))
            return
    grey = np.asarray(small, dtype=np.int16)  # (16, 17)
    finding.look = np.packbits(grey[:, 1:] > grey[:, :-1])  # (32,)


def _check_size(image: Image.Image, entry: Entry, source: Source, finding: Finding) -> None:
    """Set the size of the image as the pipeline loads it, and compare it with that of the JSON file."""
    # A look for EXIF in a file whose header has none would decode it.
    turn = orientation(image) if source.turns and 'exif' in image.info else 1
    finding.size = image.size[::-1] if swaps_sides(turn) else image.size
    turned = f', turned by its EXIF orientation {turn}' if turn in range(2, 9) else ''
    if entry.size is not None and finding.size != entry.size:
        mend = ": save it upright, or load it with color_type='color_ignore_orientation'" if turned else ''
        finding.problems.append(
            Problem(
                'wrong size',
                entry.id,
                f'{entry.path} is {_by(finding.size)}{turned}, the JSON file says {_by(entry.size)}{mend}',
            )
        )
    elif turned:
        finding.problems.append(
            Problem('turned by EXIF', entry.id, f'{entry.path} is loaded{turned}: see that its annotation is, too')
        )


def _inspect_map_header(entry: Entry, source: Source, finding: Finding) -> bool:
    """Check the header of the PNG; returns whether its pixels can be read."""
    image = _open(entry, entry.map_path, 'map', finding)
    if image is None:
        return False
    with image:
        expected = entry.size or finding.size
        if expected is not None and image.size != expected:
            than = 'the JSON file says' if entry.size else 'its image is'
            finding.problems.append(
                Problem('wrong size', entry.id, f'{entry.map_path} is {_by(image.size)}, {than} {_by(expected)}')
            )
        if image.format == 'JPEG':
            finding.problems.append(
                Problem(
                    'lossy map', entry.id, f'{entry.map_path} is a JPEG file, which does not keep ids: make it a PNG'
                )
            )
        if source.form == 'semantic' and image.mode not in ('1', 'L', 'P', 'I', 'I;16', 'I;16L', 'I;16B'):
            finding.problems.append(
                Problem(
                    NO_CLASS_IDS,
                    entry.id,
                    f'{entry.map_path} is of mode {image.mode}: it must have one channel (or a '
                    'palette) whose values are class ids',
                )
            )
            return False
    return True


def _by(size: tuple[int, int]) -> str:
    return f'{size[0]} x {size[1]}'
