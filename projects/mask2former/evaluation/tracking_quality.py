"""Segmentation and tracking quality (STQ) of panoptic videos."""

from collections.abc import Sequence
from math import fsum
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from mask2former.registry import METRICS

from .sample_fields import require_meta
from .tables import class_metrics, log_class_table
from .video_overlaps import VideoOverlaps, join_overlaps, video_overlaps


@METRICS.register_module()
class SegmentationTrackingQuality(BaseMetric):
    """STQ of ``pred_panoptic_video`` against ``gt_panoptic_video``, see :func:`.video_overlaps`.

    SQ is the mean IoU of the classes over all pixels of all videos, void of the ground truth left out; a pixel that is
    predicted void is missed. AQ is the mean over the true tracks g of things of 1/|g| Σ_p |p ∩ g| IoU(p, g), where p
    are the predicted tracks of things, of whatever class; pixels are those of a whole video, and those on crowd of the
    ground truth do not count. STQ is √(AQ · SQ). No threshold is in it.

    Source: Weber et al., STEP: Segmenting and Tracking Every Pixel, NeurIPS 2021, section 4,
    https://arxiv.org/abs/2102.11859.

    Args:
        classwise: Whether to print a table of every class, and to give ``SQ/{class}`` as metrics, too.
        collect_device: ``'cpu'`` or ``'gpu'``, where results of several ranks meet.
        prefix: Put before each key with a slash.

    Returns of ``evaluate``: ``STQ, AQ, SQ`` in percent; AQ and STQ are -1 where there is no true track.
    """

    default_prefix = 'tracking'
    predicted = 'pred_panoptic_video'

    def __init__(self, *, classwise: bool = False, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.classwise = classwise

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep of each video ``(areas (3, K), AQ of its tracks (G,))``.

        Raises:
            DataError: A sample lacks its ground truth or prediction, or they are malformed or differ in size.
        """
        is_thing = np.array(require_meta(self.dataset_meta, 'isthing'), dtype=bool)
        for sample in data_samples:
            video = video_overlaps(sample)
            self.results.append((class_areas(video, len(is_thing)), association(video, is_thing)))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Sum the areas of all videos, and average over the tracks of all."""
        classes = require_meta(self.dataset_meta, 'classes')
        common, true, found = np.sum([areas for areas, _ in results], axis=0)  # (K,) each
        union = true + found - common
        present = union > 0
        iou = 100 * common / np.maximum(union, 1)
        tracks = [value for _, values in results for value in values.tolist()]
        sq = float(iou[present].mean()) if present.any() else 0.0
        aq = 100 * fsum(tracks) / len(tracks) if tracks else -1.0
        metrics = dict(STQ=(aq * sq) ** 0.5 if tracks else -1.0, AQ=aq, SQ=sq)
        if self.classwise:
            log_class_table('Segmentation quality of each class', classes, dict(SQ=iou), present)
            metrics.update(class_metrics('SQ', classes, iou, present))
        return metrics


def class_areas(video: VideoOverlaps, num_classes: int) -> np.ndarray:
    """Pixels of each class where the ground truth is not void, ``(3, K)`` int64: common, true and predicted ones."""
    overlaps = join_overlaps(video.frames)
    true = _look_up(overlaps.gt_ids, {segment['id']: segment['label'] for segment in video.gt_segments})  # (P,)
    found = _look_up(overlaps.pred_ids, {segment['id']: segment['label'] for segment in video.pred_segments})
    areas = np.zeros((3, num_classes), dtype=np.int64)
    for row, labels, counted in ((0, true, true == found), (1, true, true >= 0), (2, found, true >= 0)):
        counted = counted & (labels >= 0)
        np.add.at(areas[row], labels[counted], overlaps.pixels[counted])
    return areas


def association(video: VideoOverlaps, is_thing: np.ndarray) -> np.ndarray:
    """AQ of each true track of a thing, ``(G,)`` float64."""
    overlaps = join_overlaps(video.frames)
    crowd = [segment['id'] for segment in video.gt_segments if segment['iscrowd'] and is_thing[segment['label']]]
    pixels = np.where(np.isin(overlaps.gt_ids, crowd), 0, overlaps.pixels)
    tracks = [s['id'] for s in video.gt_segments if is_thing[s['label']] and not s['iscrowd']]
    tracks = [track for track in tracks if track in overlaps.gt_ids]
    things = [segment['id'] for segment in video.pred_segments if is_thing[segment['label']]]
    area_of = {thing: int(pixels[overlaps.pred_ids == thing].sum()) for thing in things}
    quality = np.zeros(len(tracks))
    for place, track in enumerate(tracks):
        own = overlaps.gt_ids == track
        area = int(pixels[own].sum())
        for thing, common in zip(overlaps.pred_ids[own].tolist(), pixels[own].tolist()):
            if thing in area_of:
                quality[place] += common * common / (area_of[thing] + area - common) / area
    return quality


def _look_up(ids: np.ndarray, label_of: dict[int, int]) -> np.ndarray:
    """The label of each id, -1 where it has none."""
    return np.array([label_of.get(value, -1) for value in ids.tolist()], dtype=np.int64)
