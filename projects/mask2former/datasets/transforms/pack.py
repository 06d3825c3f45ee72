"""The end of a pipeline: arrays become tensors, and the map becomes masks."""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mask2former.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackSegInputs(BaseTransform):
    """Pack ``results`` into ``dict(inputs (3, H, W) uint8, data_samples DetDataSample)``.

    The data sample has ``gt_segments`` (``labels (N,)`` int64, ``masks (N, H, W)`` bool) where ``gt_seg_map`` was
    loaded, and ``gt_panoptic_seg`` where that was. Segments which the augmentation left without a pixel are dropped.

    Args:
        meta_keys (Sequence[str]): What to copy from ``results`` into the metainfo; absent ones are left out.
        min_area (int): Pixels which a segment must have to be kept.
    """

    def __init__(self,
                 meta_keys: Sequence[str] = ('img_path', 'img_id', 'ori_shape', 'img_shape', 'scale_factor', 'flip',
                                             'flip_direction'),
                 min_area: int = 1) -> None:
        if min_area < 1:
            raise ValueError(f'PackSegInputs: min_area is {min_area}; give 1 or more, empty masks cannot be learnt.')
        self.meta_keys = tuple(meta_keys)
        self.min_area = min_area

    def transform(self, results: dict) -> dict:
        """Pack one image."""
        image = results['img']
        if image.dtype != np.uint8:  # colour transforms give float
            image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
        inputs = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))  # (3, H, W)

        sample = DetDataSample()
        if 'gt_seg_map' in results:
            masks, kept = split_seg_map(results['gt_seg_map'], len(results['gt_seg_labels']), self.min_area)
            sample.gt_segments = InstanceData(
                labels=torch.from_numpy(results['gt_seg_labels'][kept]), masks=torch.from_numpy(masks))
        if 'gt_panoptic_seg' in results:
            sample.gt_panoptic_seg = results['gt_panoptic_seg']

        results = {**results, 'img_shape': image.shape}
        meta = {key: results[key] for key in self.meta_keys if key in results}
        for key in ('ori_shape', 'img_shape'):
            if key in meta:
                meta[key] = tuple(int(side) for side in meta[key][:2])
        sample.set_metainfo(meta)
        return dict(inputs=inputs, data_samples=sample)


def split_seg_map(seg_map: np.ndarray, num_segments: int, min_area: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Make the masks of the segments which are large enough.

    Args:
        seg_map (np.ndarray): ``(H, W)`` or ``(H, W, n)``; 0 and all over ``num_segments`` is void, as padding may be.
        num_segments (int): N, the segments before augmentation.
        min_area (int): Pixels which a segment must have.

    Returns:
        tuple[np.ndarray, np.ndarray]: masks ``(M, H, W)`` bool, and ``(M,)`` which of the N segments these are.
    """
    height, width = seg_map.shape[:2]
    layers = [np.ascontiguousarray(layer) for layer in np.moveaxis(seg_map.reshape(height, width, -1), -1, 0)]
    # areas (n, N): a segment lies in one layer
    areas = np.stack([
        np.bincount(layer.ravel(), minlength=num_segments + 1)[1:num_segments + 1] for layer in layers])
    kept = np.flatnonzero(areas.sum(0) >= min_area)
    masks = np.empty((len(kept), height, width), dtype=bool)
    for mask, segment in zip(masks, kept):
        np.equal(layers[areas[:, segment].argmax()], segment + 1, out=mask)
    return masks, kept
