"""The end of a pipeline: arrays become tensors; masks stay one compact map until they are on the model's device."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from mask2former.errors import ConfigError
from mask2former.registry import TRANSFORMS

from .band_groups import MOST_CHANNELS


@TRANSFORMS.register_module()
class PackSegInputs(BaseTransform):
    """Pack ``results`` into ``dict(inputs (N, H, W), data_samples DetDataSample)``.

    The inputs are uint8, three bands as B, G, R; with ``LoadImage(bands=N)`` they are of the type that they were read
    as.

    Where ``gt_seg_map`` was loaded, the data sample has ``gt_segments`` (``labels (N,)`` int64, ``ids (N,)``) and
    ``gt_seg_map`` (``PixelData(id_map (n, H, W))`` uint8 or int16): a segment's mask is where a layer of the map has
    its id. The data preprocessor replaces both by masks; they would be N times as many bytes to pass between
    processes.
    ``gt_panoptic_seg``, ``gt_instances`` and ``gt_sem_seg`` are passed on where they were loaded.

    Args:
        meta_keys: What to copy from ``results`` into the metainfo; absent ones are left out.
        min_area: Pixels which a segment must have to be kept. By default those which the augmentation left without a
            pixel are dropped; 0 keeps them, as targets whose mask is empty. The reference keeps them in panoptic data
            and in instances but COCO's; its semantic targets have the classes in the crop only.

    Raises:
        ConfigError: If ``min_area`` is negative.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = (
            'img_path',
            'img_id',
            'ori_shape',
            'img_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            'bands',
        ),
        min_area: int = 1,
    ) -> None:
        if min_area < 0:
            raise ConfigError(f'PackSegInputs: min_area is {min_area}; give a number of pixels, 0 to keep empty masks.')
        self.meta_keys = tuple(meta_keys)
        self.min_area = min_area

    def transform(self, results: dict) -> dict:
        """Pack one image."""
        image = results['img']
        planes = image_planes(image, keep_dtype='bands' in results)

        sample = DetDataSample()
        if 'gt_seg_map' in results:
            layers, kept = pack_seg_map(results['gt_seg_map'], len(results['gt_seg_labels']), self.min_area)
            sample.gt_segments = InstanceData(
                labels=torch.from_numpy(results['gt_seg_labels'][kept]),
                ids=torch.from_numpy((kept + 1).astype(layers.dtype)),
            )
            sample.gt_seg_map = PixelData(id_map=torch.from_numpy(layers))
        for truth in {'gt_panoptic_seg', 'gt_instances', 'gt_sem_seg'} & results.keys():
            setattr(sample, truth, results[truth])

        results = {**results, 'img_shape': image.shape}
        meta = {key: results[key] for key in self.meta_keys if key in results}
        for key in ('ori_shape', 'img_shape'):
            if key in meta:
                meta[key] = tuple(int(side) for side in meta[key][:2])
        sample.set_metainfo(meta)
        return dict(inputs=torch.from_numpy(planes), data_samples=sample)


def image_planes(image: np.ndarray, keep_dtype: bool = False) -> np.ndarray:
    """The planes ``(N, H, W)`` of an image ``(H, W, N)`` or ``(H, W)``.

    They are uint8, as colour transforms of ordinary images give float, unless ``keep_dtype``.
    """
    if image.dtype != np.uint8 and not keep_dtype:
        image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    bands = image.shape[2] if image.ndim == 3 else 1
    if bands > MOST_CHANNELS:
        return np.ascontiguousarray(np.moveaxis(image, 2, 0))
    planes = np.empty((bands, *image.shape[:2]), dtype=image.dtype)
    cv2.split(image, list(planes))  # many times as fast as a transposed copy
    return planes


def pack_seg_map(seg_map: np.ndarray, num_segments: int, min_area: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Put layers first, and find the segments which are large enough.

    Args:
        seg_map: ``(H, W)`` or ``(H, W, n)`` uint8 or uint16; 0 and all over ``num_segments`` is void, as
            padding may be.
        num_segments: N, the segments before augmentation.
        min_area: Pixels which a segment must have.

    Returns:
        ``(n, H, W)`` uint8 or int16 (which torch can compare, other than uint16), and ``(M,)`` int64: which of the N
        segments are large enough.
    """
    height, width = seg_map.shape[:2]
    layers = np.ascontiguousarray(np.moveaxis(seg_map.reshape(height, width, -1), -1, 0))  # (n, H, W)
    bins = num_segments + 1
    # A histogram of uint8 without np.bincount's copy as int64: a fifth of the time.
    areas = cv2.calcHist([layers.reshape(-1, width)], [0], None, [bins], [0, bins]).ravel()[1:]  # (N,)
    kept = np.flatnonzero(areas >= min_area)
    return layers.view(np.int16) if layers.dtype == np.uint16 else layers, kept


def seg_map_dtype(num_segments: int) -> type:
    """The smallest dtype of a ``gt_seg_map``; 255 is left free in uint8, as some transforms pad with it."""
    return np.uint8 if num_segments < 255 else np.uint16
