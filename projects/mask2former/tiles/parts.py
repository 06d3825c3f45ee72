"""What one tile saw of the segments of an image."""

from typing import NamedTuple

import numpy as np
from mmdet.structures import DetDataSample
from scipy import ndimage

from mask2former.formats.rle import areas_of, as_rle, decode_crop, decode_mask, encode_mask

from .grid import Tile


class Part(NamedTuple):
    """What a tile saw of a segment.

    Attributes:
        tile: The tile.
        label: The class.
        isthing: Whether it may be one object of several; what is none is all of its class.
        score: In 0 .. 1; 1 where nothing says it.
        top: First row of the mask in the image.
        left: First column.
        rle: The mask within its bounding box.
    """

    tile: Tile
    label: int
    isthing: bool
    score: float
    top: int
    left: int
    rle: dict

    @property
    def bottom(self) -> int:
        """One after its last row in the image."""
        return self.top + self.rle['size'][0]

    @property
    def right(self) -> int:
        """One after its last column."""
        return self.left + self.rle['size'][1]

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return areas_of([self.rle])[0]

    def touches(self, rows: slice, columns: slice) -> bool:
        """Whether its box has pixels in a part of the image."""
        return (
            self.top < rows.stop
            and self.bottom > rows.start
            and self.left < columns.stop
            and self.right > columns.start
        )

    def place(self, rows: slice, columns: slice) -> np.ndarray:
        """The mask in a part of the image, ``(height, width)`` bool."""
        canvas = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=bool)
        if self.touches(rows, columns):
            y, x = slice_of(self.top, self.bottom, rows), slice_of(self.left, self.right, columns)
            mask = decode_mask(self.rle)[shifted(y, self.top), shifted(x, self.left)]
            canvas[shifted(y, rows.start), shifted(x, columns.start)] = mask
        return canvas


def slice_of(start: int, stop: int, within: slice) -> slice:
    """What of ``start .. stop`` lies in another slice."""
    return slice(max(start, within.start), min(stop, within.stop))


def shifted(part: slice, origin: int) -> slice:
    """A slice, counted from another origin."""
    return slice(part.start - origin, part.stop - origin)


def parts_of(sample: DetDataSample, field: str, tile: Tile) -> list[Part]:
    """The parts that a tile's result has.

    Args:
        sample: The result, of the tile's size, on the CPU.
        field: 'pred_panoptic_seg', 'pred_instances' or 'pred_sem_seg'.
        tile: The tile.
    """
    if field == 'pred_instances':
        instances = sample.pred_instances
        found = zip(instances.labels.tolist(), instances.scores.tolist(), as_rle(instances.masks))
        of_instances = []
        for label, score, rle in found:
            mask, top, left = decode_crop(rle)
            if mask.size:
                of_instances.append(_part(tile, label, True, score, mask, top, left))
        return of_instances
    if field == 'pred_panoptic_seg':
        id_map = sample.pred_panoptic_seg.id_map[0].numpy()  # (H, W)
        infos = {
            info['id']: (info['label'], bool(info['isthing']), info['score'])
            for info in sample.pred_panoptic_seg.segments_info
        }
    else:
        labels = sample.pred_sem_seg.sem_seg[0].numpy()  # (H, W)
        id_map = labels + 1
        infos = {label + 1: (label, False, 1.0) for label in np.unique(labels).tolist()}
    parts = []
    for number, box in enumerate(ndimage.find_objects(id_map), 1):
        if number in infos and box is not None:
            parts.append(_part(tile, *infos[number], id_map[box] == number, box[0].start, box[1].start))
    return parts


def _part(tile: Tile, label: int, isthing: bool, score: float, mask: np.ndarray, top: int, left: int) -> Part:
    return Part(tile, label, isthing, score, top + tile.rows.start, left + tile.columns.start, encode_mask(mask))
