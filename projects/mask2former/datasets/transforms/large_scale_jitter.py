"""Large-scale jitter: resize at random, crop at random, pad; what is cropped away is not resized first."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.image import rescale_size
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from PIL import Image

from mask2former.errors import ConfigError
from mask2former.registry import TRANSFORMS

from .band_groups import in_groups, pad

# How far, in source pixels, the grid of a resized part may lie off that of the whole image.
_TOLERANCE = 1 / 128


@TRANSFORMS.register_module()
class LargeScaleJitter(BaseTransform):
    """mmcv's ``RandomResize``, mmdet's ``RandomCrop`` and ``Pad`` at the bottom and right, in one.

    The random numbers are those which the three draw. Where the resized image is larger than the crop, OpenCV resizes
    only the part of the source under the crop. Its grid may lie off by up to 1/128 of a source pixel, which changes
    values by a unit, at the hardest edges by five. ``gt_seg_map`` takes the nearest neighbour of pixel centres, so
    masks do not shift against the image.

    Needs ``img`` ``(H, W, N)`` of any number of bands and, if there is one, ``gt_seg_map`` ``(H, W)`` or ``(H, W, n)``
    of the same size.
    Sets both at ``crop_size``, and ``img_shape``, ``scale``, ``scale_factor`` (x, y), ``keep_ratio``, and
    ``homography_matrix`` (3, 3), how points move.

    From Ghiasi et al., Simple Copy-Paste, arXiv 2012.07177.

    Args:
        crop_size: ``(width, height)`` of the result, in pixels.
        scale: ``(long, short)`` side within which an image fits at ratio 1; None for ``crop_size``.
        ratio_range: Least and largest ratio, drawn uniformly.
        pad_val: Colour beyond the image, in its channel order, as ImageNet's mean, which is near zero after
            normalisation; or a number. The map is padded with 0, void.
        backend: 'cv2', or 'pillow', which filters what it makes smaller as the reference's does, and takes longer.

    Raises:
        ConfigError: If the range of ratios is impossible or the backend unknown.
    """

    def __init__(
        self,
        crop_size: Sequence[int],
        scale: Sequence[int] | None = None,
        ratio_range: Sequence[float] = (0.1, 2.0),
        pad_val: Sequence[float] | float = (104, 116, 124),
        backend: str = 'cv2',
    ) -> None:
        low, high = ratio_range
        if not 0 < low <= high:
            raise ConfigError(f'LargeScaleJitter: ratio_range is {ratio_range}; give (least, largest), both over 0.')
        if backend not in ('cv2', 'pillow'):
            raise ConfigError(f"LargeScaleJitter: backend is '{backend}'; give 'cv2' or 'pillow'.")
        self.crop_size = tuple(crop_size)
        self.scale = tuple(scale or crop_size)
        self.ratio_range = (low, high)
        self.pad_val = tuple(pad_val) if isinstance(pad_val, Sequence) else pad_val
        self.backend = backend

    @cache_randomness
    def _draw_ratio(self) -> float:
        low, high = self.ratio_range
        return np.random.random_sample() * (high - low) + low

    @cache_randomness
    def _draw_offset(self, margins: tuple[int, int]) -> tuple[int, ...]:
        return tuple(np.random.randint(0, margin + 1) for margin in margins)

    def transform(self, results: dict) -> dict:
        """Resize, crop and pad one image and its map."""
        image, seg_map = results['img'], results.get('gt_seg_map')
        height, width = image.shape[:2]
        ratio = self._draw_ratio()
        scale = tuple(max(1, int(side * ratio)) for side in self.scale)
        # The whole image's resized height and width; that of a very narrow image would be rounded to none.
        sizes = [max(1, side) for side in rescale_size((width, height), scale)[::-1]]
        crop = self.crop_size[::-1]
        starts = self._draw_offset(tuple(max(size - side, 0) for size, side in zip(sizes, crop)))
        rows, columns = (
            Span(source, size, start, min(size - start, side))
            for source, size, start, side in zip((height, width), sizes, starts, crop)
        )

        results['img'] = pad(self._resize_crop(image, rows, columns), crop, self.pad_val, 'pad_val of LargeScaleJitter')
        if seg_map is not None:
            padded = np.zeros((*crop, *seg_map.shape[2:]), dtype=seg_map.dtype)
            padded[: rows.length, : columns.length] = take_nearest(seg_map, rows.nearest(), columns.nearest())
            results['gt_seg_map'] = padded
        factors = sizes[1] / width, sizes[0] / height
        results.update(img_shape=crop, scale=scale, scale_factor=factors, keep_ratio=True)
        matrix = np.array([[factors[0], 0, -starts[1]], [0, factors[1], -starts[0]], [0, 0, 1]], dtype=np.float64)
        before = results.get('homography_matrix')
        results['homography_matrix'] = matrix if before is None else matrix @ before
        return results

    def _resize_crop(self, image: np.ndarray, rows: 'Span', columns: 'Span') -> np.ndarray:
        """The crop ``(rows.length, columns.length, N)`` of the resized image."""
        if self.backend == 'cv2':
            return in_groups(image, lambda group: resize_crop(group, rows, columns))
        if image.dtype != np.uint8:
            raise ConfigError(
                f"LargeScaleJitter: Pillow resizes uint8 images, not {image.dtype} ones: set backend='cv2'."
            )
        most = 3 if image.shape[2:] == (3,) else 1  # to Pillow the last of two or four bands is alpha
        return in_groups(image, lambda group: resize_crop_pillow(_without_axis(group), rows, columns), most)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(crop_size={self.crop_size}, scale={self.scale}, '
            f"ratio_range={self.ratio_range}, pad_val={self.pad_val}, backend='{self.backend}')"
        )


class Span:
    """A piece of one axis of a resized image, and the piece of the source axis which it comes from.

    OpenCV resizes from the left border of what it is given. A part of the source, resized alone, has the grid of the
    whole only if its first pixel begins where a resized pixel begins. So the part starts before the crop, at the last
    position (``lead`` pixels before, over the source pixel ``first``) where this is nearly so; 0 is such a position.
    ``Span(source=12, size=18, start=5, length=6)`` is::

                             first                                           last
        source   |-----|-----|=====|=====|=====|=====|=====|=====|=====|=====|-----|-----|
        resized  |---|---|---|---|---|###|###|###|###|###|###|---|---|---|---|---|---|---|
                             |<-lead>|<------- length ------>|
                             begin   start

    The part ``=`` is resized; of the result, ``lead`` pixels are dropped and the crop ``#`` is kept.

    Args:
        source: Length of the source axis.
        size: Length of the whole axis when resized.
        start: Where the piece starts on the resized axis.
        length: Its length there.
    """

    def __init__(self, source: int, size: int, start: int, length: int) -> None:
        self.source, self.size, self.start, self.length = source, size, start, length
        self.step = source / size  # source pixels per resized pixel
        self.first, self.last, self.lead = 0, source, start
        if length < size:
            # Bilinear weights reach one source pixel further; before the source's own border there is none.
            latest = max(0, int(start - 1 / self.step))
            positions = np.arange(latest + 1) * self.step  # of resized pixels, in source pixels
            begin = int(np.flatnonzero(np.abs(positions - np.rint(positions)) <= _TOLERANCE)[-1])
            self.first, self.lead = round(begin * self.step), start - begin
            self.last = min(source, int(np.ceil((start + length) * self.step)) + 2)

    def nearest(self) -> np.ndarray:
        """``(length,)`` indices into the source: the pixel in which each resized pixel's centre lies."""
        centres = 2 * np.arange(self.start, self.start + self.length) + 1
        return centres * self.source // (2 * self.size)


def resize_crop(image: np.ndarray, rows: Span, columns: Span) -> np.ndarray:
    """Resize bilinearly and crop: ``(rows.length, columns.length, C)``, of ``image`` ``(H, W, C)``."""
    if rows.length == rows.size and columns.length == columns.size:
        return cv2.resize(image, (columns.size, rows.size), interpolation=cv2.INTER_LINEAR)
    part = image[rows.first : rows.last, columns.first : columns.last]
    part = cv2.resize(part, None, fx=1 / columns.step, fy=1 / rows.step, interpolation=cv2.INTER_LINEAR)
    return part[rows.lead : rows.lead + rows.length, columns.lead : columns.lead + columns.length]


def resize_crop_pillow(image: np.ndarray, rows: Span, columns: Span) -> np.ndarray:
    """:func:`resize_crop` with Pillow's filter, as wide as a resized pixel.

    The whole image is resized: which axis Pillow takes first depends on the sizes, and with it the rounding.
    """
    whole = Image.fromarray(image).resize((columns.size, rows.size), Image.Resampling.BILINEAR)
    return np.asarray(whole)[rows.start : rows.start + rows.length, columns.start : columns.start + columns.length]


def _without_axis(image: np.ndarray) -> np.ndarray:
    """An image ``(H, W, 1)`` as ``(H, W)``, and others as they are."""
    return image[..., 0] if image.shape[2:] == (1,) else image


def take_nearest(seg_map: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """``seg_map[rows][:, columns]``, the axis which leaves fewer pixels first."""
    if len(rows) * seg_map.shape[1] < len(columns) * (rows[-1] + 1 - rows[0]):
        return seg_map.take(rows, axis=0).take(columns, axis=1)
    return seg_map[rows[0] : rows[-1] + 1].take(columns, axis=1).take(rows - rows[0], axis=0)
