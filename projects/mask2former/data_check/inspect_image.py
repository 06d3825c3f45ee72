"""Checks of the files of one image; runs in several threads."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as mask_utils

from .source import Entry, Problem

HASH_SIDE = 16


@dataclass
class Finding:
    """What was found in one image.

    Attributes:
        problems (list[Problem]): Faults.
        areas (list[tuple[Any, int]]): Category id and pixels of each segment that has some.
        void (float, optional): Share of the pixels that belong to no segment.
        digest (bytes, optional): Hash of the image file.
        look (np.ndarray, optional): ``(32,)`` uint8, a perceptual hash of 256 bits.
    """
    problems: list[Problem] = field(default_factory=list)
    areas: list[tuple[Any, int]] = field(default_factory=list)
    void: float | None = None
    digest: bytes | None = None
    look: np.ndarray | None = None


def inspect(entry: Entry, headers_only: bool) -> Finding:
    """Check the image and its annotation.

    Args:
        entry (Entry): The image.
        headers_only (bool): Only that the files are there and their headers give the right size.
    """
    finding = Finding()
    _inspect_image(entry, headers_only, finding)
    if entry.map_path is not None:
        _inspect_map(entry, headers_only, finding)
    elif not headers_only:
        _inspect_masks(entry, finding)
    return finding


def _open(entry: Entry, path: str, what: str, finding: Finding) -> Image.Image | None:
    """Open a file and see that its size is that of the JSON file; only the header is read."""
    def report(kind: str, text: str) -> None:
        finding.problems.append(Problem(kind, entry.image['id'], text))

    if not Path(path).is_file():
        report(f'missing {what}', f'{path} is not there')
        return None
    try:
        image = Image.open(path)
    except Exception as error:  # Pillow raises many types on files that are no images
        report(f'corrupt {what}', f'{path}: {error}')
        return None
    given = (entry.image['width'], entry.image['height'])
    if image.size != given:
        report('wrong size', f'{path} is {image.size[0]} x {image.size[1]}, the JSON file says {given[0]} x {given[1]}')
    return image


def _inspect_image(entry: Entry, headers_only: bool, finding: Finding) -> None:
    image = _open(entry, entry.path, 'image', finding)
    if image is None or headers_only:
        return
    finding.digest = hashlib.blake2b(Path(entry.path).read_bytes(), digest_size=16).digest()
    try:
        with image:
            image.load()
            small = image.convert('L').resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX)
    except Exception as error:
        finding.problems.append(Problem('corrupt image', entry.image['id'], f'{entry.path}: {error}'))
        return
    grey = np.asarray(small, dtype=np.int16)  # (16, 17)
    finding.look = np.packbits(grey[:, 1:] > grey[:, :-1])  # (32,)


def read_ids(path: str) -> np.ndarray:
    """Read the segment ids ``(H, W)`` int32 of a panoptic PNG: R + 256 G + 65536 B."""
    with Image.open(path) as image:
        rgb = np.asarray(image.convert('RGB'), dtype=np.int32)  # (H, W, 3)
    return rgb @ np.array([1, 256, 65536], dtype=np.int32)


def _inspect_map(entry: Entry, headers_only: bool, finding: Finding) -> None:
    opened = _open(entry, entry.map_path, 'map', finding)
    if opened is None:
        return
    opened.close()
    if headers_only:
        return

    def report(kind: str, text: str) -> None:
        finding.problems.append(Problem(kind, entry.image['id'], text))

    try:
        ids = read_ids(entry.map_path)
    except Exception as error:
        report('corrupt map', f'{entry.map_path}: {error}')
        return
    pixels = dict(zip(*(values.tolist() for values in np.unique(ids, return_counts=True))))
    void = pixels.pop(0, 0)
    for segment in entry.segments:
        count = pixels.pop(segment.get('id'), 0)
        if not count:
            if segment.get('area') != 0:
                report('id not in PNG', f"segment {segment.get('id')} has no pixel in {entry.map_path}")
            continue
        finding.areas.append((segment.get('category_id'), count))
        if 'area' in segment and segment['area'] != count:
            report('wrong area', f"segment {segment['id']} has {count} pixels, the JSON file says {segment['area']}")
    for id_, count in pixels.items():
        report('id not in JSON', f'{entry.map_path} has {count} pixels of the id {id_}, which no segment has')
    finding.void = (void + sum(pixels.values())) / ids.size


def to_rle(segmentation: Any, height: int, width: int) -> dict:
    """Return the run-length dict of COCO polygons or of either form of RLE."""
    if isinstance(segmentation, list):
        return mask_utils.merge(mask_utils.frPyObjects(segmentation, height, width))
    if isinstance(segmentation['counts'], list):
        return mask_utils.frPyObjects(segmentation, height, width)
    return segmentation


def _inspect_masks(entry: Entry, finding: Finding) -> None:
    rles = []
    size = [entry.image['height'], entry.image['width']]
    for segment in entry.segments:
        if not segment.get('segmentation'):
            continue
        try:
            rle = to_rle(segment['segmentation'], *size)
            area = int(mask_utils.area(rle))
        except Exception as error:
            finding.problems.append(Problem(
                'malformed entry', entry.image['id'], f"segment {segment.get('id')}: {error}"))
            continue
        if list(rle['size']) != size:
            finding.problems.append(Problem(
                'wrong size', entry.image['id'], f"the RLE of segment {segment.get('id')} is of size {rle['size']}"))
        elif area:
            finding.areas.append((segment.get('category_id'), area))
            rles.append(rle)
        else:
            finding.problems.append(Problem(
                'empty mask', entry.image['id'], f"the mask of segment {segment.get('id')} has no pixel"))
    covered = int(mask_utils.area(mask_utils.merge(rles))) if rles else 0
    finding.void = 1 - covered / (size[0] * size[1])
