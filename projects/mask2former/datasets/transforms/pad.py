"""Padding of images of any number of bands."""

import numpy as np
from mmdet.datasets.transforms import Pad as MMDetPad

from mask2former.registry import TRANSFORMS

from .band_groups import pad


@TRANSFORMS.register_module()
class Pad(MMDetPad):
    """mmdet's ``Pad``, but images may have any number of bands and ``gt_seg_map`` any number of layers.

    The arguments are mmdet's. OpenCV, which mmdet pads with, has values for four channels.
    """

    def _pad_img(self, results: dict) -> None:
        """Pad ``img`` (H, W, N)."""
        image = results['img']
        if image.shape[2:] == (3,):
            super()._pad_img(results)
            return
        height, width = image.shape[:2]
        if self.pad_to_square:
            height = width = max(height, width)
        if self.size_divisor is not None:
            height, width = (-(-side // self.size_divisor) * self.size_divisor for side in (height, width))
        elif self.size is not None:
            height, width = self.size[::-1]
        image = self._pad_array(image, (height, width), 'img', 0)
        results.update(
            img=image,
            pad_shape=image.shape,
            pad_fixed_size=self.size,
            pad_size_divisor=self.size_divisor,
            img_shape=image.shape[:2],
        )

    def _pad_seg(self, results: dict) -> None:
        """Pad ``gt_seg_map`` (H, W) or (H, W, n)."""
        seg_map = results.get('gt_seg_map')
        if seg_map is not None and seg_map.ndim == 3:
            results['gt_seg_map'] = self._pad_array(seg_map, results['pad_shape'][:2], 'seg', 255)
        else:
            super()._pad_seg(results)

    def _pad_array(self, array: np.ndarray, size: tuple[int, int], key: str, default: int) -> np.ndarray:
        """Pad ``(H, W)`` or ``(H, W, n)`` to ``size`` at least, with what ``pad_val`` has under a key."""
        if self.padding_mode == 'constant':
            return pad(array, size, self.pad_val.get(key, default), f"pad_val['{key}'] of Pad")
        missing = [(0, max(wanted - side, 0)) for wanted, side in zip(size, array.shape)]
        return np.pad(array, [*missing, *[(0, 0)] * (array.ndim - 2)], mode=self.padding_mode)  # the names are NumPy's
