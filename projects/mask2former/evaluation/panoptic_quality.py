"""Panoptic quality (PQ) of things and stuff."""

from collections.abc import Iterable, Sequence
from math import fsum
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from mask2former.errors import DataError
from mask2former.formats.rle import encode_mask
from mask2former.registry import METRICS

from .sample_fields import check_same_size, image_name, plane, require_field, require_meta, require_result
from .segment_matching import ClassCounts, match_segments
from .tables import class_metrics, log_class_table
from .truth import TrueSegment


@METRICS.register_module()
class PanopticQuality(BaseMetric):
    """PQ, SQ and RQ, computed from the maps in memory, image by image, equal to panopticapi's ``pq_compute``.

    Reads ``gt_panoptic_seg`` and ``pred_panoptic_seg`` of each data sample, and ``classes`` and ``isthing`` of the
    data set's metainfo. Of an image only its counts per class are kept, and they are summed without rounding, so that
    the result does not depend on the order of the images nor on how many ranks shared them.

    Source: Kirillov et al., Panoptic Segmentation, CVPR 2019, https://arxiv.org/abs/1801.00868.

    Args:
        classwise: Whether to print a table of every class, and to give ``PQ/{class}`` as metrics, too.
        collect_device: ``'cpu'`` or ``'gpu'``, where results of several ranks meet.
        prefix: Put before each key with a slash. None gives the plain keys.

    Returns of ``evaluate``: ``PQ, SQ, RQ`` and the same with ``_th`` (things) and ``_st`` (stuff), in percent: the
    mean over the classes with a match, a false positive or a miss. A group without such a class gets 0.0.
    """

    default_prefix = ''  # plain keys; with None mmengine would warn of it
    predicted = 'pred_panoptic_seg'

    def __init__(self, *, classwise: bool = False, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.classwise = classwise

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Match the segments of each image and keep its :class:`ClassCounts`.

        Raises:
            DataError: A sample lacks its ground truth or prediction, or they are malformed or differ in size.
        """
        num_classes = len(require_meta(self.dataset_meta, 'classes'))
        for sample in data_samples:
            truth = require_field(
                sample, 'gt_panoptic_seg', "add dict(type='LoadPanopticGroundTruth') to the test pipeline"
            )
            prediction = require_result(sample, 'panoptic')
            gt_map, pred_map = plane(truth, 'id_map', sample), plane(prediction, 'id_map', sample)  # (H, W) each
            check_same_size(pred_map.shape, gt_map.shape, sample)
            try:
                counts = match_segments(
                    gt_map, truth['segments_info'], pred_map, prediction['segments_info'], num_classes
                )
            except DataError as error:
                raise DataError(f'{image_name(sample)}: {error}') from error
            # A plain tuple: mmengine rebuilds tuples when it moves results to the CPU, which a NamedTuple breaks.
            self.results.append(tuple(counts))

    def true_segments(self, sample: dict) -> list[TrueSegment]:
        """The segments of ``gt_panoptic_seg``."""
        truth = require_field(
            sample, 'gt_panoptic_seg', "add dict(type='LoadPanopticGroundTruth') to the test pipeline"
        )
        id_map = plane(truth, 'id_map', sample)  # (H, W)
        return [
            TrueSegment(segment['label'], encode_mask(id_map == segment['id']))
            for segment in truth['segments_info']
            if not segment['iscrowd']
        ]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Sum the counts of all images and average over the classes."""
        classes = require_meta(self.dataset_meta, 'classes')
        is_thing = np.array(require_meta(self.dataset_meta, 'isthing'), dtype=bool)  # (K,)
        total = sum_counts((ClassCounts(*result) for result in results), len(classes))

        pq, sq, rq = class_quality(total)
        present = total.tp + total.fp + total.fn > 0
        metrics = {}
        for suffix, group in (('', present), ('_th', present & is_thing), ('_st', present & ~is_thing)):
            for name, values in (('PQ', pq), ('SQ', sq), ('RQ', rq)):
                metrics[name + suffix] = 100 * float(values[group].mean()) if group.any() else 0.0
        if self.classwise:
            columns = dict(PQ=100 * pq, SQ=100 * sq, RQ=100 * rq, TP=total.tp, FP=total.fp, FN=total.fn)
            log_class_table('Panoptic quality of each class', classes, columns, present)
            metrics.update(class_metrics('PQ', classes, columns['PQ'], present))
        return metrics


def sum_counts(images: Iterable[ClassCounts], num_classes: int) -> ClassCounts:
    """Sum the counts of images.

    Args:
        images: Of any number of images, in any order.
        num_classes: K.

    Returns:
        ClassCounts: Of all K classes, ``labels`` is ``0 .. K - 1``.
    """
    iou_terms: list[list[float]] = [[] for _ in range(num_classes)]
    counts = np.zeros((3, num_classes), dtype=np.int64)
    for image in images:
        counts[:, image.labels] += np.stack([image.tp, image.fp, image.fn])
        for label, iou_sum in zip(image.labels.tolist(), image.iou_sum.tolist()):
            iou_terms[label].append(iou_sum)
    # fsum is correctly rounded: whatever the order of the images, the same bits.
    iou_sum = np.array([fsum(terms) for terms in iou_terms])
    return ClassCounts(np.arange(num_classes), iou_sum, *counts)


def class_quality(counts: ClassCounts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """PQ, SQ and RQ of each class, ``(K,)`` float64 in [0, 1]; 0 where a class has nothing to divide by."""
    weight = counts.tp + 0.5 * counts.fp + 0.5 * counts.fn
    weight = np.where(weight > 0, weight, 1)
    return counts.iou_sum / weight, counts.iou_sum / np.maximum(counts.tp, 1), counts.tp / weight
