"""COCO's panoptic PNG files: the colour of a pixel is its segment's id, R + 256 G + 65536 B."""

import cv2
import numpy as np

from mask2former.errors import DataError, MissingFileError


def read_id_map(path: str) -> np.ndarray:
    """Read a panoptic PNG file.

    Returns:
        np.ndarray: ``(H, W)`` uint32 ids, 0 is void.

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


def id_colours(id_map: np.ndarray) -> np.ndarray:
    """The pixels ``(H, W, 3)`` uint8 RGB of a panoptic PNG file of the ids ``(H, W)``, below 2**24."""
    return np.stack([id_map & 255, id_map >> 8 & 255, id_map >> 16 & 255], axis=-1).astype(np.uint8)


def relabel(id_map: np.ndarray, ids: list[int], values: np.ndarray, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Replace each id in the map by its value; 0 stays 0.

    Neighbours are mostly equal, so ids are looked up once per run of equal pixels instead of once per pixel.

    Args:
        id_map (np.ndarray): ``(H, W)`` uint32 ids.
        ids (list[int]): All ids which the map may have beside 0.
        values (np.ndarray): ``(len(ids),)``, its dtype is the result's.
        path (str): The PNG's path for the message.

    Returns:
        tuple[np.ndarray, np.ndarray]: ``(H, W)`` values, and ``(len(ids),)`` bool: which ids the map has.

    Raises:
        DataError: If the map has another id.
    """
    ids = np.array([0, *ids], dtype=np.int64)
    values = np.concatenate([np.zeros(1, values.dtype), values])
    order = np.argsort(ids)
    flat = id_map.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])  # (R,) where a run begins
    runs = flat[starts].astype(np.int64)
    place = np.searchsorted(ids[order], runs)
    place = order[np.minimum(place, len(ids) - 1)]  # (R,) into ids
    unknown = np.unique(runs[ids[place] != runs])
    if unknown.size:
        shown = f'{unknown[:8].tolist()}{" ..." if unknown.size > 8 else ""}'
        raise DataError(
            f"Panoptic PNG '{path}' has the ids {shown}, which its segments_info lacks; add them there or "
            'make the pixels 0 (void); the file must be RGB with id = R + 256 G + 65536 B.'
        )
    seen = np.zeros(len(ids), dtype=bool)
    seen[place] = True
    lengths = np.diff(starts, append=flat.size)
    return np.repeat(values[place], lengths).reshape(id_map.shape), seen[1:]


def seg_map_dtype(num_segments: int) -> type:
    """The smallest dtype of a ``gt_seg_map``; 255 is left free in uint8, as some transforms pad with it."""
    return np.uint8 if num_segments < 255 else np.uint16
