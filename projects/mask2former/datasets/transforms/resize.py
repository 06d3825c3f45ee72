"""Resizing whose nearest neighbour is that of pixel centres."""

import copy

import cv2
import numpy as np
from mmcv.image import rescale_size
from mmdet.datasets.transforms import Resize as MMDetResize

from mask2former.errors import ConfigError
from mask2former.registry import TRANSFORMS

from .band_groups import MOST_CHANNELS, in_groups


@TRANSFORMS.register_module()
class Resize(MMDetResize):
    """mmdet's ``Resize``, but ``gt_seg_map`` stays in register with the image.

    The nearest neighbour of ``cv2.INTER_NEAREST`` is that of pixel corners: masks move right and down by up to half a
    pixel against the image, which is resized by pixel centres. Images may have any number of bands. The arguments are
    mmdet's.
    """

    def _resize_img(self, results: dict) -> None:
        """Resize ``img`` (h, w, N) of the type uint8, uint16, int16 or float32.

        Raises:
            ConfigError: If Pillow is to resize others than uint8 images.
        """
        image = results['img']
        size = rescale_size(image.shape[1::-1], results['scale'])
        if self.keep_ratio and 0 in size:  # mmcv rounds a side of a very narrow image to nothing
            stretched = copy.copy(self)
            stretched.keep_ratio = False
            part = dict(results, scale=tuple(max(1, side) for side in size))
            stretched._resize_img(part)
            results.update(part, scale=results['scale'], keep_ratio=True)
            return
        if image.shape[2:] == (3,) and image.dtype == np.uint8:
            super()._resize_img(results)
            return
        if self.backend == 'pillow' and image.dtype != np.uint8:
            raise ConfigError(f"Resize: Pillow resizes uint8 images, not {image.dtype} ones: set backend='cv2'.")

        def resize(group: np.ndarray) -> np.ndarray:
            part = dict(results, img=group[..., 0] if group.shape[2:] == (1,) else group)
            super(Resize, self)._resize_img(part)
            changed.update(part)
            return part['img']

        changed: dict = {}
        most = 1 if self.backend == 'pillow' else 4 if self.interpolation == 'area' else MOST_CHANNELS
        whole = in_groups(image, resize, most)
        results.update(changed, img=whole)

    def _resize_seg(self, results: dict) -> None:
        """Resize ``gt_seg_map`` (h, w) or (h, w, n) to the size of the image."""
        if results.get('gt_seg_map') is None:
            return
        height, width = results['img_shape'][:2]
        results['gt_seg_map'] = cv2.resize(
            results['gt_seg_map'], (width, height), interpolation=cv2.INTER_NEAREST_EXACT
        )
