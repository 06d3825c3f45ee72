"""Read panoptic segments, compact for training or as they are for evaluation."""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log
from mmengine.structures import PixelData

from mask2former.formats.images import check_size
from mask2former.formats.panoptic_png import read_id_map, relabel
from mask2former.registry import TRANSFORMS

from .pack import seg_map_dtype


class _LoadPanoptic(BaseTransform):
    """Read the PNG; segments which no pixel has, as stuff that is wholly covered, are taken out of ``segments_info``.

    A process warns of the first such image.
    """

    _has_warned = False

    def _read(
        self, results: dict, size: tuple[int, int], values_of: Callable[[Sequence[dict]], np.ndarray]
    ) -> np.ndarray:
        """Read the PNG, and reduce ``segments_info`` to the segments with pixels.

        Args:
            results: Has ``img_path``, ``segments_info`` and, unless nothing is annotated, ``seg_map_path``.
            size: ``(H, W)`` which the PNG must have.
            values_of: The values ``(n,)`` of n segments, for the map.

        Returns:
            ``(H, W)`` values, 0 is void.

        Raises:
            MissingFileError: If the PNG is absent.
            DataError: If the PNG does not fit the image or its ``segments_info``.
        """
        segments, void_ids = results['segments_info'], results.get('void_ids', [])
        path = results.get('seg_map_path')
        if path is None:
            return np.zeros(size, dtype=values_of(segments).dtype)
        id_map = read_id_map(path)
        check_size(f"The panoptic PNG '{path}'", id_map.shape, results['img_path'], size)
        seg_map, seen = _replace_ids(id_map, segments, void_ids, values_of(segments), path)
        if not seen.all():
            self._warn([segment['id'] for segment, is_seen in zip(segments, seen) if not is_seen], path)
            segments = results['segments_info'] = [segment for segment, is_seen in zip(segments, seen) if is_seen]
            seg_map, _ = _replace_ids(id_map, segments, void_ids, values_of(segments), path)
        return seg_map

    def _warn(self, absent: list[int], path: str) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        shown = f'{absent[:8]}{" ..." if len(absent) > 8 else ""}'
        print_log(
            f"No pixel of the panoptic PNG '{path}' has the ids {shown}, {len(absent)} of the segments which the "
            'annotation file lists: they are left out, and so are those of further images, without another warning; '
            'tools/misc/check_dataset.py lists them all.',
            'current',
            logging.WARNING,
        )


@TRANSFORMS.register_module()
class LoadPanopticSegments(_LoadPanoptic):
    """Read the segments of a panoptic PNG for training; crowd and left-out categories become void.

    Segments that are listed but have no pixel are left out.

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
        size = results['img'].shape[:2]
        results['gt_seg_map'] = self._read(results, size, lambda segments: self._number(segments)[0])
        results['gt_seg_labels'] = self._number(results['segments_info'])[1]
        return results

    def _number(self, segments: Sequence[dict]) -> tuple[np.ndarray, np.ndarray]:
        """The value ``(n,)`` of each of n segments in the map, and the labels ``(N,)`` of the targets."""
        labels = np.array([segment['label'] for segment in segments], dtype=np.int64)
        if self.by_class:
            classes, index = np.unique(labels, return_inverse=True)
            values = index + 1
        else:
            kept = np.array([not segment['iscrowd'] for segment in segments], dtype=bool)
            classes = labels[kept]
            values = np.cumsum(kept) * kept  # 1, 2, ... for the kept, 0 for crowd
        return values.astype(seg_map_dtype(len(classes))), classes


@TRANSFORMS.register_module()
class LoadPanopticGroundTruth(_LoadPanoptic):
    """Read the panoptic ground truth for evaluation, at the original size whatever was done to the image.

    Segments that are listed but have no pixel are left out: no prediction could match them.

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
        id_map = self._read(
            results,
            results['ori_shape'][:2],
            lambda segments: np.array([segment['id'] for segment in segments], dtype=np.int32),
        )
        segments = results['segments_info']
        keys = ('id', 'label', 'isthing', 'iscrowd')
        results['gt_panoptic_seg'] = PixelData(
            id_map=torch.from_numpy(id_map)[None],
            metainfo=dict(segments_info=[{key: segment[key] for key in keys} for segment in segments]),
        )
        return results


def _replace_ids(
    id_map: np.ndarray, segments: Sequence[dict], void_ids: Sequence[int], values: np.ndarray, path: str
) -> tuple[np.ndarray, np.ndarray]:
    """The map ``(H, W)`` of ``values`` ``(n,)`` in the place of the segments' ids, and ``(n,)`` which ids it has."""
    values = np.concatenate([values, np.zeros(len(void_ids), dtype=values.dtype)])
    seg_map, seen = relabel(id_map, [*(segment['id'] for segment in segments), *void_ids], values, path)
    return seg_map, seen[: len(segments)]
