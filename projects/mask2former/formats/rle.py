"""COCO's run-length encoding (RLE): ``dict(size=[H, W], counts=bytes)``, column by column."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from mask2former.errors import DataError

from .images import check_size

# Coordinates beyond this are no mistake of drawing; pycocotools would walk along the whole way.
MAX_COORDINATE = 1e6
# Pixels of the outlines of an instance, those of the largest square: pycocotools takes up to 100 bytes for each, and
# writes where there is no memory.
MAX_OUTLINE = 4e6


def encode_mask(mask: np.ndarray) -> dict:
    """The RLE of a mask ``(H, W)`` of bool or of 0 and 1."""
    return mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))


def encode_masks(masks: np.ndarray) -> list[dict]:
    """The RLEs of masks ``(n, H, W)`` of bool or of 0 and 1."""
    columns_first = np.ascontiguousarray(masks.transpose(0, 2, 1), dtype=np.uint8)  # (n, W, H)
    return mask_utils.encode(columns_first.transpose(2, 1, 0))  # (H, W, n) in Fortran order, without a copy


def decode_mask(rle: dict) -> np.ndarray:
    """The mask (H, W) bool of an RLE."""
    return mask_utils.decode(rle).view(bool)


def decode_crop(rle: dict) -> tuple[np.ndarray, int, int]:
    """The mask of an RLE within its bounding box, ``(h, w)`` bool, and the top and the left of the box.

    Memory grows with the box and not with the image, but for the columns of the box, which are formed whole.
    """
    left, top, width, height = (int(value) for value in box_of(rle))
    if not width:
        return np.zeros((0, 0), dtype=bool), 0, 0
    H = int(rle['size'][0])
    edges = np.clip(np.cumsum(run_lengths(rle['counts'])), left * H, (left + width) * H) - left * H
    lengths = np.diff(edges, prepend=0)
    columns = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(width, H)
    return columns[:, top : top + height].T, top, left


def encode_crops(crops: Iterable[tuple[np.ndarray, int, int]], height: int, width: int) -> dict:
    """The RLE of a mask ``(height, width)`` of which only parts ``(h, w)`` bool with their top and left are given.

    They have no pixels in common, and are let go one after the other.
    """
    edges = [edges_of(mask, top, left, height) for mask, top, left in crops]
    return encode_edges(np.concatenate([np.zeros(0, np.int64), *edges]), height, width)


def edges_of(mask: np.ndarray, top: int, left: int, height: int) -> np.ndarray:
    """The positions, column after column of an image, where a part of a mask begins in a column and where it ends.

    Args:
        mask: ``(h, w)`` bool.
        top: Its first row in the image.
        left: Its first column.
        height: Of the image.
    """
    columns = np.zeros((mask.shape[1], mask.shape[0] + 2), dtype=bool)
    columns[:, 1:-1] = mask.T
    x, y = np.nonzero(columns[:, 1:] != columns[:, :-1])
    return (x + left) * height + (y + top)


def encode_edges(positions: np.ndarray, height: int, width: int) -> dict:
    """The RLE of a mask given by the positions of :func:`edges_of` of all its parts, in any order.

    A run goes on where one ends at the position at which another begins: in the column below, or at the next one's top.
    """
    positions = np.sort(positions)
    inner = positions[1:-1].reshape(-1, 2)  # an end and the next beginning
    positions = np.concatenate([positions[:1], inner[inner[:, 0] != inner[:, 1]].ravel(), positions[-1:]])
    counts = np.diff(positions, prepend=0, append=height * width)
    if len(positions) and counts[-1] == 0:
        counts = counts[:-1]
    return mask_utils.frPyObjects(dict(size=[height, width], counts=counts), height, width)


def areas_of(rles: Sequence[dict]) -> list[int]:
    """The pixels of each; one by one, for pycocotools 2.0.11 fails at the areas of more than 255."""
    return [int(mask_utils.area(rle)) for rle in rles]


def box_of(rle: dict) -> list[float]:
    """The bounding box, xywh in pixels; all 0 where the mask is empty."""
    return mask_utils.toBbox(rle).tolist()


def json_rle(rle: dict) -> dict:
    """An RLE as JSON can hold it."""
    counts = rle['counts']
    return dict(
        size=[int(side) for side in rle['size']], counts=counts.decode('ascii') if isinstance(counts, bytes) else counts
    )


def as_rle(masks: Any) -> list[dict]:
    """The masks of instances as RLEs.

    Args:
        masks: n RLEs, as this package predicts them, or bitmaps (n, H, W), a tensor or an array, as targets and the
            predictions of mmdet's models are.

    Raises:
        ValueError: If the masks are of another form.
    """
    if getattr(masks, 'ndim', 0) == 3:
        return encode_masks(masks if isinstance(masks, np.ndarray) else masks.cpu().numpy())
    if isinstance(masks, (list, tuple)) and all(isinstance(mask, dict) for mask in masks):
        return list(masks)
    raise ValueError(
        "The masks of instances must be a list of COCO's run-length dicts or bitmaps (n, H, W), but are "
        f'{getattr(masks, "shape", type(masks).__name__)}.'
    )


def from_segmentation(segmentation: list | dict, height: int, width: int) -> dict:
    """The RLE of a segmentation of any of COCO's kinds: polygons, or RLE whose counts are a list or compressed.

    What it is made of is not checked; see :func:`check_segmentation`.

    Raises:
        TypeError: If it is a text.
        Exception: What pycocotools raises.
    """
    if isinstance(segmentation, str):
        raise TypeError('it is a string')
    if isinstance(segmentation, dict):
        if isinstance(segmentation['counts'], list):
            return mask_utils.frPyObjects(segmentation, height, width)
        return segmentation
    return mask_utils.merge(mask_utils.frPyObjects(closed_polygons(segmentation) or [[0.0] * 6], height, width))


def encode_segmentation(segmentation: list | dict, size: tuple[int, int], image: str) -> dict:
    """What :func:`from_segmentation` makes, with errors that a user can fix.

    Args:
        segmentation: Polygons ``[[x0, y0, x1, y1, ...], ...]`` in pixels, or RLE, compressed or not.
        size: The image's ``(H, W)``.
        image: The image's path for the message.

    Raises:
        DataError: If the segmentation is malformed or an RLE has another size.
    """
    try:
        if isinstance(segmentation, dict):
            check_size('The RLE of an instance', tuple(segmentation['size']), image, size)
        check_segmentation(segmentation, *size)
        return from_segmentation(segmentation, *size)
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"An instance of the image '{image}' has a segmentation that is neither polygons "
            f'[[x0, y0, x1, y1, x2, y2, ...], ...] nor RLE dict(size, counts) ({error}); correct it, or have '
            'tools/misc/check_dataset.py --fix leave it out.'
        ) from error


def closed_polygons(polygons: list) -> list:
    """The polygons that enclose something: under three points do not, and pycocotools takes four numbers for a box."""
    return [polygon for polygon in polygons if len(polygon) >= 6]


def check_segmentation(segmentation: Any, height: int, width: int) -> None:
    """Find what :func:`from_segmentation` would not notice or pycocotools would break at.

    Raises:
        ValueError: If there is such a thing.
        Exception: If the segmentation has none of COCO's forms.
    """
    if isinstance(segmentation, list):
        if not all(
            isinstance(value, (int, float)) and math.isfinite(value) and abs(value) < MAX_COORDINATE
            for polygon in closed_polygons(segmentation)
            for value in polygon
        ):
            raise ValueError('a polygon has values that are no coordinates')
        if sum(map(_outline, closed_polygons(segmentation))) > MAX_OUTLINE:
            raise ValueError(f'its outlines are longer than {MAX_OUTLINE:.0f} pixels')
        return
    counts = segmentation['counts']
    lengths = np.array(counts) if isinstance(counts, list) else run_lengths(counts)
    if lengths.dtype.kind != 'i' or lengths.min() < 0 or lengths.sum() != height * width:
        raise ValueError(f'the counts of its RLE do not make {height} x {width} pixels')
    if list(segmentation['size']) != [height, width]:
        raise ValueError(f'its RLE is of the size {segmentation["size"]}')


def _outline(polygon: Sequence[float]) -> float:
    """The pixels that pycocotools walks along a polygon ``x0, y0, x1, y1, ...``: the longer side of each edge. Of few
    and short edges 0, without a look at each."""
    if len(polygon) * (max(polygon) - min(polygon)) < MAX_OUTLINE / 100:
        return 0.0
    points = np.array(polygon[: len(polygon) // 2 * 2], dtype=float).reshape(-1, 2)
    return float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum())


def run_lengths(counts: str | bytes) -> np.ndarray:
    """The lengths ``(R,)`` int64 of the runs of a compressed RLE.

    Each is written in groups of 5 bits, lowest first, in signs from '0' on, where bit 5 says that more follow; from the
    fourth on it is the difference from the last but one. pycocotools reads on behind the end of a malformed one.

    Raises:
        ValueError: If it is no such code.
    """
    code = np.frombuffer(counts.encode('ascii') if isinstance(counts, str) else counts, np.uint8).astype(np.int64) - 48
    if not len(code) or code.min() < 0 or code.max() > 63 or code[-1] & 32:
        raise ValueError('the counts of its RLE are no code')
    ends = np.flatnonzero(code & 32 == 0)  # (R,)
    starts = np.concatenate([[0], ends[:-1] + 1])
    digit = np.arange(len(code)) - np.repeat(starts, ends + 1 - starts)
    if digit.max() > 6:
        raise ValueError('the counts of its RLE are too large')
    lengths = np.add.reduceat((code & 31) << 5 * digit, starts)
    lengths -= (code[ends] & 16 > 0) * (1 << 5 * (digit[ends] + 1))  # the highest bit is the sign
    for first in (1, 2):
        lengths[first::2] = np.cumsum(lengths[first::2])
    return lengths


def instances_of(masks: np.ndarray, category_ids: Sequence[int]) -> list[dict]:
    """COCO's instance annotations, without ``id`` and ``image_id``: masks as compressed RLE, empty ones left out.

    Args:
        masks: ``(N, H, W)`` bool.
        category_ids: N.
    """
    rles = encode_masks(masks) if len(masks) else []
    return [
        dict(category_id=category_id, area=area, bbox=box_of(rle), iscrowd=0, segmentation=json_rle(rle))
        for category_id, rle, area in zip(category_ids, rles, areas_of(rles))
        if area
    ]
