"""Matching of predicted to ground truth segments of an image or video: the counts that panoptic quality is made of.

The rules are those of panopticapi's ``pq_compute`` (Kirillov et al., Panoptic Segmentation, CVPR 2019, section 4;
https://github.com/cocodataset/panopticapi), done on one matrix of intersections in place of loops over pairs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mask2former.errors import DataError


class Overlaps(NamedTuple):
    """The pixels that ids of two maps share, for the P pairs that share any; a pair may be there several times."""

    gt_ids: np.ndarray  # (P,) int64, 0 is void
    pred_ids: np.ndarray  # (P,) int64, 0 is void
    pixels: np.ndarray  # (P,) int64


class ClassCounts(NamedTuple):
    """Counts of one image for the classes that occur in it; C is the number of them."""

    labels: np.ndarray  # (C,) int64, ascending
    iou_sum: np.ndarray  # (C,) float64, IoU summed over the matched pairs
    tp: np.ndarray  # (C,) int64, matched pairs
    fp: np.ndarray  # (C,) int64, unmatched predictions
    fn: np.ndarray  # (C,) int64, unmatched ground truth


def match_segments(
    gt_map: np.ndarray,
    gt_segments: Sequence[dict],
    pred_map: np.ndarray,
    pred_segments: Sequence[dict],
    num_classes: int,
) -> ClassCounts:
    """Match the segments of one image and count the outcome per class, see :func:`count_matches`.

    Args:
        gt_map: ``(H, W)`` integer ids, 0 is void.
        gt_segments: ``dict(id, label, iscrowd)`` of each ground truth segment.
        pred_map: ``(H, W)`` integer ids, 0 is void.
        pred_segments: ``dict(id, label)`` of each predicted segment.
        num_classes: K, labels are ``0 .. K - 1``.

    Returns:
        ClassCounts: Only of the classes with a match, a false positive or a miss.

    Raises:
        DataError: The sizes differ, a label or an id is out of range or given twice, or the predicted map and
            ``pred_segments`` do not list the same segments.
    """
    return count_matches(find_overlaps(gt_map, pred_map), gt_segments, pred_segments, num_classes)


def find_overlaps(gt_map: np.ndarray, pred_map: np.ndarray) -> Overlaps:
    """The pixels that the ids of two maps ``(H, W)`` share; of one map after the other, ids up to 2**31 - 1.

    Raises:
        DataError: The sizes differ.
    """
    if gt_map.shape != pred_map.shape:
        raise DataError(
            f'The predicted map is {pred_map.shape}, the ground truth map {gt_map.shape}: both must '
            'have the same (H, W).'
        )
    # One sort over both maps gives every pair of ids that share a pixel; there are few, so the rest is cheap.
    combined = gt_map.astype(np.int64) << 32 | pred_map.astype(np.int64)  # (H, W)
    pairs, pixels = np.unique(combined, return_counts=True)
    return Overlaps(pairs >> 32, pairs & 0xFFFFFFFF, pixels)


def count_matches(
    overlaps: Overlaps, gt_segments: Sequence[dict], pred_segments: Sequence[dict], num_classes: int
) -> ClassCounts:
    """Match the segments of an image, or the tubes of some frames of a video, and count the outcome per class.

    A pair matches where the classes agree and IoU > 0.5; void pixels of the ground truth do not count in the union.
    An unmatched crowd segment is no miss. An unmatched prediction of which more than half lies on void and on crowd
    of its class is no false positive; where a class has several crowd segments the last one counts, as in
    panopticapi. Pixels of a ground truth id that ``gt_segments`` does not list belong to no segment, nor to void.

    The arguments are those of :func:`match_segments`, with the overlaps of the maps in their place.
    """
    gt_rows, gt_labels = _index_segments(gt_segments, num_classes, 'ground truth')  # labels: (G,)
    pred_cols, pred_labels = _index_segments(pred_segments, num_classes, 'predicted')  # labels: (N,)
    num_gt = len(gt_labels)

    overlap = np.zeros((num_gt + 2, len(pred_labels) + 1), dtype=np.int64)  # row and column 0: void; last row: unlisted
    for gt_id, pred_id, count in zip(*(column.tolist() for column in overlaps)):
        if pred_id not in pred_cols:
            raise DataError(f'The predicted map has the id {pred_id}, which its segments_info does not list.')
        overlap[gt_rows.get(gt_id, num_gt + 1), pred_cols[pred_id]] += count

    gt_area = overlap.sum(axis=1)[1 : num_gt + 1]  # (G,)
    pred_area = overlap.sum(axis=0)[1:]  # (N,)
    on_void = overlap[0, 1:]  # (N,)
    shared = overlap[1 : num_gt + 1, 1:]  # (G, N)
    if (pred_area == 0).any():
        empty = pred_segments[int(np.argmin(pred_area))]['id']
        raise DataError(f'The predicted segments_info lists the id {empty}, which has no pixel in the map.')

    is_crowd = np.array([bool(segment['iscrowd']) for segment in gt_segments], dtype=bool)  # (G,)
    same_class = gt_labels[:, None] == pred_labels[None, :]  # (G, N)
    union = pred_area[None, :] + gt_area[:, None] - shared - on_void[None, :]
    # The union is 0 only where the overlap is 0 too.
    iou = shared / np.maximum(union, 1)
    matched = same_class & ~is_crowd[:, None] & (iou > 0.5)  # (G, N), at most one per row and column

    missed = ~matched.any(axis=1) & ~is_crowd
    crowd_of_class = {int(gt_labels[row]): row for row in np.flatnonzero(is_crowd)}
    excused = on_void.copy()
    for column, label in enumerate(pred_labels.tolist()):
        if label in crowd_of_class:
            excused[column] += shared[crowd_of_class[label], column]
    wrong = ~matched.any(axis=0) & ~(excused / pred_area > 0.5)

    matched_gt, matched_pred = np.nonzero(matched)
    iou_sum = np.bincount(gt_labels[matched_gt], weights=iou[matched_gt, matched_pred], minlength=num_classes)
    tp = np.bincount(gt_labels[matched_gt], minlength=num_classes)
    fp = np.bincount(pred_labels[wrong], minlength=num_classes)
    fn = np.bincount(gt_labels[missed], minlength=num_classes)
    labels = np.flatnonzero(tp + fp + fn)
    return ClassCounts(labels, iou_sum[labels], tp[labels], fp[labels], fn[labels])


def _index_segments(segments: Sequence[dict], num_classes: int, side: str) -> tuple[dict[int, int], np.ndarray]:
    """The index of each id (void at 0, segment i at i + 1) and the labels ``(len(segments),)`` int64."""
    index_of_id = {0: 0}
    for index, segment in enumerate(segments, start=1):
        if not 0 < segment['id'] < 2**31 or segment['id'] in index_of_id:
            raise DataError(
                f'The {side} segments_info has the id {segment["id"]}: ids must be unique, from 1 to '
                '2**31 - 1 (0 is void).'
            )
        if not 0 <= segment['label'] < num_classes:
            raise DataError(
                f'The {side} segment {segment["id"]} has the label {segment["label"]}, but the data set '
                f'has {num_classes} classes.'
            )
        index_of_id[int(segment['id'])] = index
    return index_of_id, np.array([segment['label'] for segment in segments], dtype=np.int64)
