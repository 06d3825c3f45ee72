"""Data samples as the metrics get them: built as DetDataSample, then turned into dicts by mmengine."""

import logging
from contextlib import contextmanager

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData, PixelData

from mask2former.formats.rle import as_rle


def panoptic(id_map, segments):
    """Return PixelData of a map (H, W) and its segments_info."""
    data = PixelData(metainfo=dict(segments_info=segments))
    data.id_map = torch.from_numpy(np.ascontiguousarray(id_map, dtype=np.int32))[None]
    return data


def semantic(labels, **metainfo):
    """Return PixelData of a label map (H, W)."""
    data = PixelData(metainfo=metainfo)
    data.sem_seg = torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64))[None]
    return data


def instances(labels, scores, masks, bboxes=None):
    """Return InstanceData as it is predicted; the boxes are those of the masks (n, H, W) where none are given."""
    masks = np.asarray(masks, dtype=bool)
    if bboxes is None:
        bboxes = np.zeros((len(masks), 4), dtype=np.float32)
        for box, mask in zip(bboxes, masks):
            rows, columns = np.nonzero(mask)
            box[:] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return InstanceData(
        labels=torch.tensor(labels, dtype=torch.int64),
        scores=torch.tensor(scores).float(),
        bboxes=torch.as_tensor(bboxes),
        masks=as_rle(masks),
    )


def sample(img_id, **fields):
    """Return a DetDataSample with the given fields."""
    result = DetDataSample(metainfo=dict(img_id=img_id, img_path=f'{img_id}.jpg'))
    for name, value in fields.items():
        result.set_data({name: value})
    return result


@contextmanager
def logs_to(caplog):
    """Let `caplog` have what is said to mmengine's current logger."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, logger=logger.name):
            yield
    finally:
        logger.removeHandler(caplog.handler)


def run(metric, samples, meta):
    """Evaluate through mmengine's Evaluator, two images a batch."""
    from mmengine.evaluator import Evaluator

    evaluator = Evaluator(metric)
    evaluator.dataset_meta = meta
    for start in range(0, len(samples), 2):
        evaluator.process(data_samples=samples[start : start + 2], data_batch=None)
    return evaluator.evaluate(len(samples))


def run_on_ranks(build, samples, meta, shares):
    """Evaluate with one metric object a rank, the images dealt unevenly, and the results put together."""
    assert sorted(place for share in shares for place in share) == list(range(len(samples)))
    parts = []
    for share in shares:
        metric = build()
        metric.dataset_meta = meta
        metric.process(None, [samples[place].to_dict() for place in share])
        parts.extend(metric.results)
    metric = build()
    metric.dataset_meta = meta
    metric.results = parts
    return metric.evaluate(len(parts))
