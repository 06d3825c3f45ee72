"""Mean intersection over union of semantic segmentation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from mask2former.errors import DataError
from mask2former.formats.rle import encode_mask
from mask2former.registry import METRICS

from .label_boundary import label_boundary
from .sample_fields import check_same_size, image_name, plane, require_field, require_meta, require_result
from .tables import class_metrics, log_class_table
from .truth import TrueSegment

# Ground truth value that is left out where the ground truth does not say its own `ignore_index`.
DEFAULT_IGNORE_INDEX = 255


@METRICS.register_module()
class SemanticIoU(BaseMetric):
    """mIoU, frequency weighted IoU, mean class accuracy and pixel accuracy.

    Reads ``pred_sem_seg`` and, as ground truth, ``gt_sem_seg`` (its ``ignore_index``, 255 where it has none, is left
    out) or else ``gt_panoptic_seg`` (crowd counts as its class, void is left out) of each data sample, and
    ``classes`` of the data set's metainfo.

    The means are over the classes that the ground truth holds, as in detectron2's ``SemSegEvaluator``: a class which
    is only predicted lowers the IoU of the classes it takes pixels from, but is no term of its own. (mmdet's
    ``SemSegMetric`` counts such a class with IoU 0.)

    Args:
        boundary: Whether to measure Boundary IoU, too: the IoU of the boundaries of a class (Cheng et al., Boundary
            IoU, CVPR 2021, https://arxiv.org/abs/2103.16562; 2 % of the image's diagonal wide), of whose pixels those
            on void do not count.
        classwise: Whether to print a table of every class, and to give ``mIoU/{class}`` and
            ``mBIoU/{class}`` as metrics, too.
        collect_device: ``'cpu'`` or ``'gpu'``, where results of several ranks meet.
        prefix: Put before each key with a slash. None gives the plain keys.

    Returns of ``evaluate``: ``mIoU, fwIoU, mAcc, aAcc`` and with ``boundary`` also ``mBIoU`` in percent, 0.0 where all
    ground truth is void.
    """

    default_prefix = ''  # plain keys; with None mmengine would warn of it
    predicted = 'pred_sem_seg'

    def __init__(
        self, *, boundary: bool = False, classwise: bool = False, collect_device: str = 'cpu', prefix: str | None = None
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.boundary = boundary
        self.classwise = classwise

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the pixel counts of each image: ``(3, K)`` int64 of intersection, prediction and ground truth.

        With ``boundary`` they are ``(6, K)``: the same of the boundaries' pixels follow.

        Raises:
            DataError: A sample lacks its ground truth or prediction, the sizes differ, or a label is out of range.
        """
        num_classes = len(require_meta(self.dataset_meta, 'classes'))
        for sample in data_samples:
            prediction = require_result(sample, 'semantic')
            pred = plane(prediction, 'sem_seg', sample)  # (H, W)
            truth, counted = semantic_truth(sample)  # (H, W) each
            check_same_size(pred.shape, truth.shape, sample)
            inner_pred, inner_truth = pred[counted], truth[counted]  # (pixels,) each
            for side, labels in (('predicted', inner_pred), ('ground truth', inner_truth)):
                if labels.size and not (0 <= labels.min() and labels.max() < num_classes):
                    raise DataError(
                        f'{image_name(sample)}: a {side} label is out of range (they go from '
                        f'{labels.min()} to {labels.max()}), but the data set has {num_classes} classes.'
                    )
            counts = [inner_truth[inner_truth == inner_pred], inner_pred, inner_truth]
            if self.boundary:
                # Void is one more label: the mask of a class ends there.
                edge_truth = label_boundary(np.where(counted, truth, num_classes))[counted]  # (pixels,)
                edge_pred = label_boundary(np.clip(pred, 0, num_classes))[counted]  # (pixels,)
                both = edge_truth & edge_pred & (inner_truth == inner_pred)
                counts += [inner_truth[both], inner_pred[edge_pred], inner_truth[edge_truth]]
            self.results.append(np.stack([np.bincount(labels, minlength=num_classes) for labels in counts]))

    def true_segments(self, sample: dict) -> list[TrueSegment]:
        """All pixels of a class are one segment."""
        return class_segments(sample)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Sum the pixel counts of all images and average over the classes."""
        classes = require_meta(self.dataset_meta, 'classes')
        total = np.zeros((6 if self.boundary else 3, len(classes)), dtype=np.int64)
        for counts in results:
            total += counts
        intersection, predicted, actual = total[:3]  # (K,) each

        present = actual > 0
        iou = _ratio(intersection, actual + predicted - intersection)
        accuracy = _ratio(intersection, actual)
        columns = dict(IoU=100 * iou, Acc=100 * accuracy)
        if self.boundary:
            columns['BIoU'] = 100 * _ratio(total[3], total[4] + total[5] - total[3])
        frequency = _ratio(actual, actual.sum())
        metrics = dict(
            mIoU=_mean(columns['IoU'], present),
            fwIoU=100 * float((iou * frequency).sum()),
            mAcc=_mean(columns['Acc'], present),
            aAcc=100 * float(_ratio(intersection.sum(), actual.sum())),
        )
        if self.boundary:
            metrics['mBIoU'] = _mean(columns['BIoU'], present)
        if self.classwise:
            log_class_table('Intersection over union of each class', classes, columns, present)
            for key, column in (('mIoU', 'IoU'), ('mBIoU', 'BIoU')):
                if column in columns:
                    metrics.update(class_metrics(key, classes, columns[column], present))
        return metrics


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, 0 where both are 0."""
    return part / np.maximum(whole, 1)


def _mean(values: np.ndarray, present: np.ndarray) -> float:
    """The mean over the classes that are ``present``, 0 where none is."""
    return float(values[present].mean()) if present.any() else 0.0


def class_segments(sample: dict) -> list[TrueSegment]:
    """A segment of each class that the semantic truth of a data sample holds."""
    labels, counted = semantic_truth(sample)  # (H, W) each
    return [
        TrueSegment(label, encode_mask(counted & (labels == label))) for label in np.unique(labels[counted]).tolist()
    ]


def semantic_truth(sample: dict) -> tuple[np.ndarray, np.ndarray]:
    """The labels of the pixels and which of them count, ``(H, W)`` int64 and bool."""
    if sample.get('gt_sem_seg') is not None:
        element = sample['gt_sem_seg']
        truth = plane(element, 'sem_seg', sample).astype(np.int64)
        return truth, truth != element.get('ignore_index', DEFAULT_IGNORE_INDEX)
    element = require_field(
        sample,
        'gt_panoptic_seg',
        "add dict(type='LoadPanopticGroundTruth') to the test pipeline, or a transform that sets 'gt_sem_seg'",
    )
    id_map = plane(element, 'id_map', sample)
    label_of = {int(segment['id']): segment['label'] for segment in element['segments_info']}
    ids, index = np.unique(id_map, return_inverse=True)
    # An id that segments_info does not list has no class: like void it is left out.
    counted = np.array([int(i) in label_of and i != 0 for i in ids], dtype=bool)
    labels = np.array([label_of.get(int(i), 0) for i in ids], dtype=np.int64)
    index = index.reshape(id_map.shape)
    return labels[index], counted[index]
