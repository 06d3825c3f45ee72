"""Mean intersection over union of semantic segmentation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from ..registry import METRICS
from .class_table import log_class_table
from .sample_fields import check_same_size, image_name, plane, require_field, require_meta

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
        classwise (bool): Whether to print a table of every class. Defaults to False.
        collect_device (str): ``'cpu'`` or ``'gpu'``, where results of several ranks meet. Defaults to ``'cpu'``.
        prefix (str, optional): Put before each key with a slash. None gives the plain keys.

    Returns of ``evaluate``: ``mIoU, fwIoU, mAcc, aAcc`` in percent, 0.0 where all ground truth is void.
    """

    default_prefix = ''  # plain keys; with None mmengine would warn of it

    def __init__(self, *, classwise: bool = False, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.classwise = classwise

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the pixel counts of each image: ``(3, K)`` int64 of intersection, prediction and ground truth.

        Raises:
            ValueError: A sample lacks its ground truth or prediction, the sizes differ, or a label is out of range.
        """
        num_classes = len(require_meta(self.dataset_meta, 'classes'))
        for sample in data_samples:
            prediction = require_field(
                sample, 'pred_sem_seg', "add the semantic postprocessor to the model's postprocessors")
            pred = plane(prediction, 'sem_seg', sample)  # (H, W)
            truth, counted = semantic_truth(sample)      # (H, W) each
            check_same_size(pred.shape, truth.shape, sample)
            pred, truth = pred[counted], truth[counted]  # (pixels,) each
            for side, labels in (('predicted', pred), ('ground truth', truth)):
                if labels.size and not (0 <= labels.min() and labels.max() < num_classes):
                    raise ValueError(f'{image_name(sample)}: a {side} label is out of range (they go from '
                                     f'{labels.min()} to {labels.max()}), but the data set has {num_classes} classes.')
            self.results.append(np.stack([
                np.bincount(labels, minlength=num_classes) for labels in (truth[truth == pred], pred, truth)]))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Sum the pixel counts of all images and average over the classes."""
        classes = require_meta(self.dataset_meta, 'classes')
        total = np.zeros((3, len(classes)), dtype=np.int64)
        for counts in results:
            total += counts
        intersection, predicted, actual = total  # (K,) each

        present = actual > 0
        iou = intersection / np.maximum(actual + predicted - intersection, 1)
        accuracy = intersection / np.maximum(actual, 1)
        if self.classwise:
            columns = dict(IoU=100 * iou, Acc=100 * accuracy)
            log_class_table('Intersection over union of each class', classes, columns, present)
        if not present.any():
            return dict(mIoU=0.0, fwIoU=0.0, mAcc=0.0, aAcc=0.0)
        frequency = actual / actual.sum()
        return dict(
            mIoU=100 * float(iou[present].mean()),
            fwIoU=100 * float((iou * frequency).sum()),
            mAcc=100 * float(accuracy[present].mean()),
            aAcc=100 * float(intersection.sum() / actual.sum()),
        )


def semantic_truth(sample: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of the pixels and which of them count, ``(H, W)`` int64 and bool."""
    if sample.get('gt_sem_seg') is not None:
        element = sample['gt_sem_seg']
        truth = plane(element, 'sem_seg', sample).astype(np.int64)
        return truth, truth != element.get('ignore_index', DEFAULT_IGNORE_INDEX)
    element = require_field(
        sample, 'gt_panoptic_seg',
        "add dict(type='LoadPanopticGroundTruth') to the test pipeline, or a transform that sets 'gt_sem_seg'")
    id_map = plane(element, 'id_map', sample)
    label_of = {int(segment['id']): segment['label'] for segment in element['segments_info']}
    ids, place = np.unique(id_map, return_inverse=True)
    # An id that segments_info does not list has no class: like void it is left out.
    counted = np.array([int(i) in label_of and i != 0 for i in ids], dtype=bool)
    labels = np.array([label_of.get(int(i), 0) for i in ids], dtype=np.int64)
    place = place.reshape(id_map.shape)
    return labels[place], counted[place]
