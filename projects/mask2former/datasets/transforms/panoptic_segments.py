"""Read panoptic segments, compact for training or as they are for evaluation."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData

from mask2former.errors import DataError
from mask2former.formats.images import check_size
from mask2former.formats.panoptic_png import read_id_map, relabel
from mask2former.registry import TRANSFORMS

from .pack import seg_map_dtype


@TRANSFORMS.register_module()
class LoadPanopticSegments(BaseTransform):
    """Read the segments of a panoptic PNG for training; crowd and left-out categories become void.

    Needs ``img`` (not resized yet), ``img_path``, ``segments_info``, ``seg_map_path`` (without it, all is void).
    Sets ``gt_seg_map`` ``(H, W)`` uint8, or uint16 for many segments: 0 is void, ``i`` is segment ``i - 1``; and
    ``gt_seg_labels`` ``(N,)`` int64.

    Args:
        by_class: Whether all segments of a class, crowd included, are one: the target of semantic segmentation.
    """

    def __init__(self, by_class: bool = False) -> None:
        self.by_class = by_class

    def transform(self, results: dict) -> dict:
        """Read the segments.

        Raises:
            MissingFileError: If the PNG is absent.
            DataError: If the PNG does not fit the image or its ``segments_info``.
        """
        segments = results['segments_info']
        labels = np.array([segment['label'] for segment in segments], dtype=np.int64)
        if self.by_class:
            classes, index = np.unique(labels, return_inverse=True)
            values = index + 1
        else:
            kept = np.array([not segment['iscrowd'] for segment in segments], dtype=bool)
            classes = labels[kept]
            values = np.cumsum(kept) * kept  # 1, 2, ... for the kept, 0 for crowd
        results['gt_seg_map'] = _read(results, results['img'].shape[:2], values.astype(seg_map_dtype(len(classes))))
        results['gt_seg_labels'] = classes
        return results


@TRANSFORMS.register_module()
class LoadPanopticGroundTruth(BaseTransform):
    """Read the panoptic ground truth for evaluation, at the original size whatever was done to the image.

    Needs ``ori_shape``, ``img_path``, ``segments_info``, ``seg_map_path`` (without it, all is void).
    Sets ``gt_panoptic_seg``: ``PixelData(id_map (1, H, W) int32)`` with the file's own ids, crowd included, 0 is void;
    its metainfo ``segments_info`` is a list of ``dict(id, label, isthing, iscrowd)``.
    """

    def transform(self, results: dict) -> dict:
        """Read the ground truth.

        Raises:
            MissingFileError: If the PNG is absent.
            DataError: If the PNG does not fit the image or its ``segments_info``.
        """
        segments = results['segments_info']
        ids = np.array([segment['id'] for segment in segments], dtype=np.int32)
        id_map = _read(results, results['ori_shape'][:2], ids)
        keys = ('id', 'label', 'isthing', 'iscrowd')
        results['gt_panoptic_seg'] = PixelData(
            id_map=torch.from_numpy(id_map)[None],
            metainfo=dict(segments_info=[{key: segment[key] for key in keys} for segment in segments]),
        )
        return results


def _read(results: dict, size: tuple[int, int], values: np.ndarray) -> np.ndarray:
    """Read the PNG and replace the ids by ``values`` ``(len(segments_info),)``: ``(H, W)``, 0 is void."""
    path = results.get('seg_map_path')
    if path is None:
        return np.zeros(size, dtype=values.dtype)
    id_map = read_id_map(path)
    check_size(f"The panoptic PNG '{path}'", id_map.shape, results['img_path'], size)
    ids, void_ids = [segment['id'] for segment in results['segments_info']], results.get('void_ids', [])
    values = np.concatenate([values, np.zeros(len(void_ids), dtype=values.dtype)])
    seg_map, seen = relabel(id_map, [*ids, *void_ids], values, path)
    absent = [id_ for id_, is_seen in zip(ids, seen) if not is_seen]
    if absent:
        raise DataError(
            f'The segments_info of image {results.get("img_id")} has the ids {absent[:8]}, which no pixel '
            f'of the panoptic PNG \'{path}\' has; remove them from the JSON (or write their "area": 0).'
        )
    return seg_map
