"""Read class-id PNG files: one segment per class for training, or the labels as they are for evaluation."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData

from mask2former.errors import DataError
from mask2former.formats.class_png import read_class_ids
from mask2former.formats.images import check_size
from mask2former.registry import TRANSFORMS

from .pack import seg_map_dtype


@TRANSFORMS.register_module()
class LoadSemanticSegments(BaseTransform):
    """Read a class-id PNG for training: each class that occurs is one segment.

    Needs ``img`` (not resized yet), ``img_path``, ``label_table``, ``seg_map_path``.
    Sets ``gt_seg_map`` ``(H, W)`` uint8, or uint16 for many classes: 0 is void, ``i`` is segment ``i - 1``; and
    ``gt_seg_labels`` ``(N,)`` int64, in ascending order.
    """

    def transform(self, results: dict) -> dict:
        """Read the segments.

        Raises:
            MissingFileError: If the PNG is absent.
            DataError: If the PNG does not fit the image, or has a value without a meaning.
        """
        values, table = _read(results, results['img'].shape[:2])
        present = np.flatnonzero(np.bincount(values.ravel(), minlength=len(table)))
        labels = np.unique(table[present])
        labels = labels[labels >= 0]
        segment_of = np.searchsorted(labels, table) + 1  # right where the table has one of the labels
        segment_of[~np.isin(table, labels)] = 0
        results['gt_seg_map'] = segment_of.astype(seg_map_dtype(len(labels)))[values]
        results['gt_seg_labels'] = labels.astype(np.int64)
        return results


@TRANSFORMS.register_module()
class LoadSemanticGroundTruth(BaseTransform):
    """Read a class-id PNG for evaluation, at the original size whatever was done to the image.

    Needs ``ori_shape``, ``img_path``, ``label_table``, and the PNG's path (without it, all is void).
    Sets ``gt_sem_seg``: ``PixelData(sem_seg (1, H, W) int16)`` of labels, with the metainfo ``ignore_index`` -1.

    Args:
        path_key: Which of the results is the PNG's path: ``'semantic_path'`` in a panoptic data set that has semantic
            PNG files, too.
    """

    def __init__(self, path_key: str = 'seg_map_path') -> None:
        self.path_key = path_key

    def transform(self, results: dict) -> dict:
        """Read the labels.

        Raises:
            MissingFileError: If the PNG is absent.
            DataError: If the PNG does not fit the image, or has a value without a meaning, or the data set does not
                say what the values mean.
        """
        size = results['ori_shape'][:2]
        if 'label_table' not in results:
            raise DataError(
                f"LoadSemanticGroundTruth(path_key='{self.path_key}') does not know what the values of the class-id "
                f"PNG of '{results['img_path']}' mean: use a data set of class-id PNG files, or an ADE20KPanoptic "
                'whose data_prefix has their folder as semantic.'
            )
        if results.get(self.path_key) is None:
            labels = np.full(size, -1, dtype=np.int16)
        else:
            values, table = _read(results, size, self.path_key)
            labels = table.astype(np.int16)[values]
        results['gt_sem_seg'] = PixelData(sem_seg=torch.from_numpy(labels)[None], metainfo=dict(ignore_index=-1))
        return results


def _read(results: dict, size: tuple[int, int], path_key: str = 'seg_map_path') -> tuple[np.ndarray, np.ndarray]:
    """Read the PNG: its values ``(H, W)``, and the table of their labels, both checked against each other."""
    path, table = results[path_key], results['label_table']
    values = read_class_ids(path)
    check_size(f"The class-id PNG '{path}'", values.shape, results['img_path'], size)
    present = np.unique(values) if values.dtype.itemsize > 2 else np.flatnonzero(np.bincount(values.ravel()))
    inside = (present >= 0) & (present < len(table))
    unknown = present[~inside | (table[np.where(inside, present, 0)] < -1)]
    if unknown.size:
        shown = f'{unknown[:8].tolist()}{" ..." if unknown.size > 8 else ""}'
        raise DataError(
            f"Class-id PNG '{path}' has the values {shown}, which no class has; add them to label_map or "
            '(if they are void) to ignore_index, or correct the file.'
        )
    return values, table
