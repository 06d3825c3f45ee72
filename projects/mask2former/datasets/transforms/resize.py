"""Resizing whose nearest neighbour is that of pixel centres."""

import cv2
from mmdet.datasets.transforms import Resize as MMDetResize

from mask2former.registry import TRANSFORMS


@TRANSFORMS.register_module()
class Resize(MMDetResize):
    """mmdet's ``Resize``, but ``gt_seg_map`` stays in register with the image.

    The nearest neighbour of ``cv2.INTER_NEAREST`` is that of pixel corners: masks move right and down by up to half a
    pixel against the image, which is resized by pixel centres. The arguments are mmdet's.
    """

    def _resize_seg(self, results: dict) -> None:
        """Resize ``gt_seg_map`` (h, w) or (h, w, n) to the size of the image."""
        if results.get('gt_seg_map') is None:
            return
        height, width = results['img_shape'][:2]
        results['gt_seg_map'] = cv2.resize(
            results['gt_seg_map'], (width, height), interpolation=cv2.INTER_NEAREST_EXACT
        )
