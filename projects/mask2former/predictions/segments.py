"""The segments of a result, whichever of the three kinds it is."""

from typing import NamedTuple

import numpy as np
from mmdet.structures import DetDataSample

from mask2former.formats.rle import encode_mask


class PredictedSegment(NamedTuple):
    """A segment that a model found: its number in the image, its label, its score if it has one, and its mask as a
    run-length encoding."""

    id: int
    label: int
    score: float | None
    rle: dict


def predicted_segments(sample: DetDataSample, field: str, score_thr: float) -> list[PredictedSegment]:
    """What a model found in an image.

    Args:
        sample: Its result, on the CPU.
        field: 'pred_panoptic_seg'; 'pred_instances', the surest first; or 'pred_sem_seg', a segment for each class.
        score_thr: Instances with lower scores are left out.
    """
    if field == 'pred_instances':
        instances = sample.pred_instances
        order = instances.scores.argsort(descending=True, stable=True).tolist()
        kept = [i for i in order if instances.scores[i] >= score_thr]
        return [
            PredictedSegment(number, int(instances.labels[i]), float(instances.scores[i]), instances.masks[i])
            for number, i in enumerate(kept, 1)
        ]
    if field == 'pred_panoptic_seg':
        id_map = np.asarray(sample.pred_panoptic_seg.id_map)[0]  # (H, W)
        infos = sample.pred_panoptic_seg.segments_info
        return [
            PredictedSegment(info['id'], info['label'], info.get('score'), encode_mask(id_map == info['id']))
            for info in infos
        ]
    labels = np.asarray(sample.pred_sem_seg.sem_seg)[0]  # (H, W)
    return [
        PredictedSegment(number, label, None, encode_mask(labels == label))
        for number, label in enumerate(np.unique(labels).tolist(), 1)
    ]
