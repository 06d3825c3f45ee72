"""Rasterise instances into a few layers of ids, for training; or encode them, to be drawn beside predictions."""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import InstanceData

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
        layers = InstanceLayers(size, len(instances))
        labels: list[int] = []
        for instance in instances:
            rle = encode_segmentation(instance['segmentation'], size, results['img_path'])
            x, y, w, h = (int(v) for v in box_of(rle))
            if w * h == 0:
                continue
            labels.append(instance['label'])
            layers.add(len(labels), decode_mask(rle), (x, y, w, h))
        results['gt_seg_map'] = layers.as_map(results['img_path'])
        results['gt_seg_labels'] = np.array(labels, dtype=np.int64)
        return results


class InstanceLayers:
    """Masks of instances in as few maps as possible.

    Args:
        size: ``(H, W)``.
        num_instances: The largest id.
    """

    def __init__(self, size: tuple[int, int], num_instances: int) -> None:
        self.size = size
        self.dtype = seg_map_dtype(num_instances)
        self.layers: list[np.ndarray] = []

    def add(self, number: int, mask: np.ndarray, box: Sequence[int]) -> None:
        """Put an instance into the first layer where its pixels are free.

        Args:
            number: Its id, from 1.
            mask: ``(H, W)`` bool.
            box: xywh in pixels; outside there is no pixel of the mask.
        """
        x, y, w, h = box
        inside = slice(y, y + h), slice(x, x + w)
        mask = mask[inside]
        for layer in self.layers:
            if not layer[inside][mask].any():
                break
        else:
            layer = np.zeros(self.size, dtype=self.dtype)
            self.layers.append(layer)
        layer[inside][mask] = number

    def as_map(self, image: str) -> np.ndarray:
        """The ``gt_seg_map``: ``(H, W)``, or ``(H, W, n)`` of several layers.

        Raises:
            DataError: If there are too many layers; it names the path ``image``.
        """
        if len(self.layers) > MAX_LAYERS:
            raise DataError(
                f"Over {MAX_LAYERS} instances lie over one another in the image '{image}'; "
                'remove the doubled ones from the annotation file.'
            )
        if len(self.layers) > 1:
            return np.stack(self.layers, axis=-1)
        return self.layers[0] if self.layers else np.zeros(self.size, dtype=self.dtype)


@TRANSFORMS.register_module()
class LoadInstanceGroundTruth(BaseTransform):
    """Encode the instances for pictures of a test, at the original size whatever was done to the image; no crowd.

    Metrics do not need it: :class:`~mask2former.evaluation.InstanceAP` reads its annotation file.

    Needs ``ori_shape``, ``img_path``, ``instances``.
    Sets ``gt_instances``: ``InstanceData(labels (N,) int64, masks)``, the masks a list of N run-length encodings.
    """

    def transform(self, results: dict) -> dict:
        """Encode the instances.

        Raises:
            DataError: If a segmentation is malformed or does not fit the image.
        """
        size = results['ori_shape'][:2]
        instances = [instance for instance in results['instances'] if not instance['iscrowd']]
        results['gt_instances'] = InstanceData(
            labels=torch.tensor([instance['label'] for instance in instances], dtype=torch.int64),
            masks=[encode_segmentation(instance['segmentation'], size, results['img_path']) for instance in instances],
        )
        return results
