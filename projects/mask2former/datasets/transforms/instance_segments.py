"""Rasterise instances into a few layers of ids."""

import numpy as np
from mmcv.transforms import BaseTransform

from mask2former.errors import DataError
from mask2former.formats.images import check_size
from mask2former.formats.rle import box_of, decode_mask, encode_segmentation
from mask2former.registry import TRANSFORMS

from .pack import seg_map_dtype

MAX_LAYERS = 128  # OpenCV 5 resizes no image of more channels


@TRANSFORMS.register_module()
class LoadInstanceSegments(BaseTransform):
    """Rasterise instances for training; crowd and instances without a pixel are left out.

    Instances may overlap: each goes whole into the first layer where its pixels are free. Most images need one or two
    layers, so that transforms treat these instead of one mask an instance.

    Needs ``img`` (not resized yet), ``img_path``, ``instances``.
    Sets ``gt_seg_map`` ``(H, W)`` or ``(H, W, n)`` uint8, or uint16 for many instances: 0 is void, ``i`` is instance
    ``i - 1``; and ``gt_seg_labels`` ``(N,)`` int64.
    """

    def transform(self, results: dict) -> dict:
        """Rasterise the instances.

        Raises:
            DataError: If a segmentation is malformed or does not fit the image.
        """
        size = results['img'].shape[:2]
        if 'height' in results and 'width' in results:
            stated = (results['height'], results['width'])
            check_size('The size in the annotation file', stated, results['img_path'], size)
        instances = [instance for instance in results['instances'] if not instance['iscrowd']]
        layers: list[np.ndarray] = []
        labels: list[int] = []
        dtype = seg_map_dtype(len(instances))
        for instance in instances:
            rle = encode_segmentation(instance['segmentation'], size, results['img_path'])
            x, y, w, h = (int(v) for v in box_of(rle))
            if w * h == 0:
                continue
            box = slice(y, y + h), slice(x, x + w)
            mask = decode_mask(rle)[box]
            for layer in layers:
                if not layer[box][mask].any():
                    break
            else:
                layer = np.zeros(size, dtype=dtype)
                layers.append(layer)
            labels.append(instance['label'])
            layer[box][mask] = len(labels)
        if len(layers) > MAX_LAYERS:
            raise DataError(
                f"Over {MAX_LAYERS} instances lie over one another in the image '{results['img_path']}'; "
                'remove the doubled ones from the annotation file.'
            )
        results['gt_seg_map'] = (
            np.stack(layers, axis=-1) if len(layers) > 1 else layers[0] if layers else np.zeros(size, dtype=dtype)
        )
        results['gt_seg_labels'] = np.array(labels, dtype=np.int64)
        return results
