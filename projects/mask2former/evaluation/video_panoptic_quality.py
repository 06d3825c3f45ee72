"""Video panoptic quality (VPQ): panoptic quality of tubes."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from mask2former.errors import ConfigError, DataError
from mask2former.registry import METRICS

from .panoptic_quality import class_quality, sum_counts
from .sample_fields import image_name, require_meta
from .segment_matching import ClassCounts, count_matches
from .tables import class_metrics, log_class_table
from .video_overlaps import VideoOverlaps, sliding_overlaps, video_overlaps


@METRICS.register_module()
class VideoPanopticQuality(BaseMetric):
    """VPQ of ``pred_panoptic_video`` against ``gt_panoptic_video``, see :func:`.video_overlaps`.

    Of every k frames in succession, the segments of equal ids are tubes, which are matched as segments of an image are;
    counts are summed over all positions of all videos. A video of fewer than k frames has no position.

    Source: Kim et al., Video Panoptic Segmentation, CVPR 2020, section 3.3, https://arxiv.org/abs/2006.11339.

    Args:
        windows: The values of k, frames of a tube.
        classwise: Whether to print a table of every class, and to give ``VPQ/{class}`` as metrics, too.
        collect_device: ``'cpu'`` or ``'gpu'``, where results of several ranks meet.
        prefix: Put before each key with a slash. None gives the plain keys.

    Returns of ``evaluate``: ``VPQ_{k}, VPQ_{k}_th, VPQ_{k}_st`` of each k, in percent: the mean over the classes with a
    match, a false positive or a miss, and of things and stuff alone; and ``VPQ, VPQ_th, VPQ_st``, their means over k.
    """

    default_prefix = ''  # plain keys; with None mmengine would warn of it
    predicted = 'pred_panoptic_video'

    def __init__(
        self,
        *,
        windows: Sequence[int] = (1, 2, 4, 6),
        classwise: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not windows or min(windows) < 1 or len(set(windows)) < len(windows):
            raise ConfigError(f"VideoPanopticQuality's windows are {windows!r}: give numbers of frames as (1, 2, 4).")
        self.windows = tuple(windows)
        self.classwise = classwise

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Match the tubes of each video and keep the counts of each k.

        Raises:
            DataError: A sample lacks its ground truth or prediction, or they are malformed or differ in size.
        """
        num_classes = len(require_meta(self.dataset_meta, 'classes'))
        for sample in data_samples:
            video = video_overlaps(sample)
            try:
                counts = [tuple(sum_counts(_counts(video, k, num_classes), num_classes)) for k in self.windows]
            except DataError as error:
                raise DataError(f'{image_name(sample)}: {error}') from error
            self.results.append(counts)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Sum the counts of all videos, and average over the classes and over k."""
        classes = require_meta(self.dataset_meta, 'classes')
        is_thing = np.array(require_meta(self.dataset_meta, 'isthing'), dtype=bool)  # (K,)
        groups = {'': np.ones_like(is_thing), '_th': is_thing, '_st': ~is_thing}
        metrics: dict[str, float] = {}
        qualities, seen = [], []
        for k, of_videos in zip(self.windows, zip(*results)):
            total = sum_counts((ClassCounts(*counts) for counts in of_videos), len(classes))
            quality, present = 100 * class_quality(total)[0], total.tp + total.fp + total.fn > 0  # (K,) each
            qualities.append(quality)
            seen.append(present)
            for suffix, group in groups.items():
                metrics[f'VPQ_{k}{suffix}'] = float(quality[group & present].mean()) if (group & present).any() else 0.0
        means = {
            f'VPQ{suffix}': float(np.mean([metrics[f'VPQ_{k}{suffix}'] for k in self.windows])) for suffix in groups
        }
        if self.classwise:
            present, mean = np.any(seen, axis=0), np.mean(qualities, axis=0)
            columns = dict(VPQ=mean, **{f'VPQ_{k}': quality for k, quality in zip(self.windows, qualities)})
            log_class_table('Video panoptic quality of each class', classes, columns, present)
            metrics.update(class_metrics('VPQ', classes, mean, present))
        return means | metrics


def _counts(video: VideoOverlaps, length: int, num_classes: int) -> Iterator[ClassCounts]:
    """The counts of every ``length`` frames in succession; a segment that they do not show is none of theirs."""
    for overlaps in sliding_overlaps(video.frames, length):
        gt_ids, pred_ids = set(overlaps.gt_ids.tolist()), set(overlaps.pred_ids.tolist())
        yield count_matches(
            overlaps,
            [segment for segment in video.gt_segments if segment['id'] in gt_ids],
            [segment for segment in video.pred_segments if segment['id'] in pred_ids],
            num_classes,
        )
