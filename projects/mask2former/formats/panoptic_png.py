"""COCO's panoptic PNG files: the colour of a pixel is its segment's id, R + 256 G + 65536 B; 0 is void."""

import struct
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

from mask2former.errors import DataError, MissingFileError

from .files import write_atomically
from .images import write_image

CHANNELS = (1, 256, 65536)  # what R, G and B count for


def read_id_map(path: str | Path) -> np.ndarray:
    """Read a panoptic PNG file, fast.

    Returns:
        ``(H, W)`` uint32 ids, 0 is void.

    Raises:
        MissingFileError: If there is no such file.
        DataError: If it is not an image that can be read.
    """
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError:
        raise MissingFileError(
            f"Panoptic PNG '{path}' does not exist; check data_root and data_prefix['seg']."
        ) from None
    bgr = cv2.imdecode(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if content.size else None
    if bgr is None:
        raise DataError(f"Panoptic PNG '{path}' cannot be read as an image; replace it.")
    # The bytes R G B A of a pixel, read as one little-endian integer, are the id with A above it: one fast pass.
    packed = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGBA).view('<u4')[..., 0]
    packed &= np.uint32(0xFFFFFF)
    return packed


def read_id_map_strictly(path: str | Path) -> np.ndarray:
    """Read a panoptic PNG file: ``(H, W)`` int32 ids. Pillow, unlike OpenCV, refuses a file that is cut off.

    Raises:
        Exception: What Pillow raises.
    """
    with Image.open(path) as image:
        rgb = np.asarray(image.convert('RGB')).astype(np.int32)  # (H, W, 3)
    return rgb @ np.array(CHANNELS, np.int32)


def id_colors(id_map: np.ndarray) -> np.ndarray:
    """The pixels ``(H, W, 3)`` uint8 RGB of a panoptic PNG file of the ids ``(H, W)``, below 2**24."""
    return np.stack([id_map & 255, id_map >> 8 & 255, id_map >> 16 & 255], axis=-1).astype(np.uint8)


def id_of_color(color: Sequence[int] | np.ndarray) -> int:
    """The id that an RGB colour stands for."""
    return int(np.asarray(color) @ CHANNELS)


def ids_near_colors(colors: Iterable[Sequence[int]], rng: np.random.Generator, exact: bool = True) -> list[int]:
    """Different ids over 0, of colours near the given RGB ones: a viewer shows the classes.

    Args:
        colors: A colour for each id.
        rng: Draws the distances.
        exact: Whether the first segment of a colour has that colour itself.
    """
    ids: dict[int, None] = {}
    for color in colors:
        segment_id = id_of_color(color) if exact else 0
        while segment_id in ids or not segment_id:
            segment_id = id_of_color(np.clip(np.array(color) + rng.integers(-24, 25, 3), 0, 255))
        ids[segment_id] = None
    return list(ids)


def write_id_map(path: str | Path, id_map: np.ndarray) -> None:
    """Write ``(H, W)`` segment ids below 2**24 as a panoptic PNG file."""
    write_image(path, id_colors(id_map)[..., ::-1])


def write_id_strips(path: str | Path, strips: Iterable[tuple[slice, np.ndarray]], size: tuple[int, int]) -> None:
    """Write a panoptic PNG file of any size, some rows at a time.

    Args:
        path: Where to.
        strips: Which rows, and their ids ``(rows, W)`` below 2**24, from the top.
        size: ``(H, W)``.
    """

    def write(part: Path) -> None:
        with open(part, 'wb') as file:
            file.write(b'\x89PNG\r\n\x1a\n')
            _write_chunk(file, b'IHDR', struct.pack('>IIBBBBB', size[1], size[0], 8, 2, 0, 0, 0))
            compressor = zlib.compressobj(6)
            above = np.zeros((1, 3 * size[1]), np.uint8)
            for _, ids in strips:
                colors = id_colors(ids).reshape(len(ids), -1)  # (rows, 3 W)
                rows = np.empty((len(ids), 1 + 3 * size[1]), np.uint8)
                rows[:, 0] = 2  # each row holds the difference from the one above
                rows[:, 1:] = colors - np.concatenate([above, colors[:-1]])
                above = colors[-1:]
                _write_chunk(file, b'IDAT', compressor.compress(rows.tobytes()))
            _write_chunk(file, b'IDAT', compressor.flush())
            _write_chunk(file, b'IEND', b'')

    write_atomically(path, write)


def _write_chunk(file: BinaryIO, kind: bytes, content: bytes) -> None:
    file.write(struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content)))


def runs_of(id_map: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and lengths, ``(R,)`` each, of the runs of equal neighbours in the flattened map.

    What is looked up once for each run, and not for each pixel, is looked up many times less.
    """
    flat = id_map.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])  # (R,)
    return flat[starts], np.diff(starts, append=flat.size)


def relabel(id_map: np.ndarray, ids: list[int], values: np.ndarray, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Replace each id in the map by its value; 0 stays 0.

    Args:
        id_map: ``(H, W)`` uint32 ids.
        ids: All ids which the map may have beside 0.
        values: ``(len(ids),)``, its dtype is the result's.
        path: The PNG's path for the message.

    Returns:
        ``(H, W)`` values, and ``(len(ids),)`` bool: which ids the map has.

    Raises:
        DataError: If the map has another id.
    """
    known = np.array([0, *ids], dtype=np.int64)
    values = np.concatenate([np.zeros(1, values.dtype), values])
    order = np.argsort(known)
    runs, lengths = runs_of(id_map)
    runs = runs.astype(np.int64)
    index = np.searchsorted(known[order], runs)
    index = order[np.minimum(index, len(known) - 1)]  # (R,) into known
    unknown = np.unique(runs[known[index] != runs])
    if unknown.size:
        shown = f'{unknown[:8].tolist()}{" ..." if unknown.size > 8 else ""}'
        raise DataError(
            f"Panoptic PNG '{path}' has the ids {shown}, which its segments_info lacks; add them there or "
            'make the pixels 0 (void); the file must be RGB with id = R + 256 G + 65536 B.'
        )
    seen = np.zeros(len(known), dtype=bool)
    seen[index] = True
    return np.repeat(values[index], lengths).reshape(id_map.shape), seen[1:]


def segments_of(id_map: np.ndarray, category_ids: Mapping[int, int], crowd: Collection[int] = ()) -> list[dict]:
    """The ``segments_info`` of a map: ``id, category_id, area, bbox, iscrowd`` of every id that has pixels.

    Args:
        id_map: ``(H, W)`` integer, 0 is void.
        category_ids: Category of each id of the map.
        crowd: The ids of crowds.
    """
    ids, inverse, areas = np.unique(id_map, return_inverse=True, return_counts=True)
    from scipy import ndimage  # half a second, and no prediction needs it

    boxes = ndimage.find_objects(inverse.reshape(id_map.shape) + 1)
    return [
        dict(
            id=segment_id,
            category_id=category_ids[segment_id],
            area=area,
            bbox=[columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
            iscrowd=int(segment_id in crowd),
        )
        for segment_id, area, (rows, columns) in zip(ids.tolist(), areas.tolist(), boxes)
        if segment_id
    ]
