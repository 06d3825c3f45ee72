"""Panoptic quality of a semantic result, which has no instances."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from scipy.ndimage import label as connected_components

from mask2former.errors import ConfigError, DataError
from mask2former.registry import METRICS

from .panoptic_quality import PanopticQuality
from .sample_fields import check_same_size, image_name, plane, require_field, require_meta, require_result
from .segment_matching import match_segments
from .semantic_iou import class_segments, semantic_truth
from .truth import TrueSegment

SEGMENT_DEFINITIONS = ('classes', 'components')


@METRICS.register_module()
class SemanticPanopticQuality(BaseMetric):
    """PQ, SQ and RQ of ``pred_sem_seg``.

    Args:
        segments: ``'classes'``: every class of an image is one segment, in the prediction and in the ground truth
            (``gt_sem_seg``, or else ``gt_panoptic_seg``), as in the reference's
            ``tools/evaluate_pq_for_semantic_segmentation.py``. ``'components'``: in the prediction each connected
            component (4 neighbours) of a thing class is a segment, and the ground truth is ``gt_panoptic_seg`` with its
            instances.
        classwise: Whether to print a table of every class, and to give ``PQ/{class}`` as metrics, too.
        collect_device: ``'cpu'`` or ``'gpu'``, where results of several ranks meet.
        prefix: Put before each key with a slash, since the keys are those of :class:`PanopticQuality`.
    """

    default_prefix = 'sem'
    predicted = 'pred_sem_seg'

    def __init__(
        self,
        *,
        segments: str = 'classes',
        classwise: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if segments not in SEGMENT_DEFINITIONS:
            raise ConfigError(f"SemanticPanopticQuality's segments is {segments!r}: give 'classes' or 'components'.")
        self.segments = segments
        self._quality = PanopticQuality(classwise=classwise)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Match the segments of each image and keep its counts per class.

        Raises:
            ConfigError: A sample lacks its ground truth or prediction, the sizes differ, or a label is out of range.
        """
        num_classes = len(require_meta(self.dataset_meta, 'classes'))
        is_thing = require_meta(self.dataset_meta, 'isthing')
        for sample in data_samples:
            prediction = require_result(sample, 'semantic')
            pred = plane(prediction, 'sem_seg', sample)  # (H, W)
            if self.segments == 'classes':
                labels, counted = semantic_truth(sample)  # (H, W) each
                gt_map = np.where(counted, labels + 1, 0)
                gt_segments = [dict(id=i, label=i - 1, iscrowd=False) for i in np.unique(gt_map).tolist() if i]
                pred_map, pred_segments = _class_segments(pred, ())
            else:
                truth = require_field(
                    sample,
                    'gt_panoptic_seg',
                    "add dict(type='LoadPanopticGroundTruth') to the test pipeline, or "
                    "give SemanticPanopticQuality segments='classes'",
                )
                gt_map, gt_segments = plane(truth, 'id_map', sample), truth['segments_info']  # (H, W)
                pred_map, pred_segments = _class_segments(pred, [k for k, thing in enumerate(is_thing) if thing])
            check_same_size(pred.shape, gt_map.shape, sample)
            try:
                counts = match_segments(gt_map, gt_segments, pred_map, pred_segments, num_classes)
            except DataError as error:
                raise ConfigError(f'{image_name(sample)}: {error}') from error
            # A plain tuple: mmengine rebuilds tuples when it moves results to the CPU, which a NamedTuple breaks.
            self.results.append(tuple(counts))

    def true_segments(self, sample: dict) -> list[TrueSegment]:
        """All pixels of a class are one segment: what is measured is a semantic result."""
        return class_segments(sample)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Sum the counts of all images and average over the classes, as :class:`PanopticQuality` does."""
        self._quality.dataset_meta = self.dataset_meta
        return self._quality.compute_metrics(results)


def _class_segments(labels: np.ndarray, split: Sequence[int]) -> tuple[np.ndarray, list[dict]]:
    """Number the classes of a label map ``(H, W)``, and the components of the classes in ``split``, from 1 on."""
    id_map = np.zeros(labels.shape, dtype=np.int64)
    segments: list[dict] = []
    for label in np.unique(labels).tolist():
        mask = labels == label
        parts, count = connected_components(mask) if label in split else (mask, 1)
        id_map[mask] = parts[mask] + len(segments)
        segments += [dict(id=len(segments) + number, label=label) for number in range(1, count + 1)]
    return id_map, segments
