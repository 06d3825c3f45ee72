import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from mask2former.auto.image_scores import image_score, predicted_segments
from mask2former.evaluation.truth import TrueSegment
from mask2former.formats.rle import encode_mask


def segment(label, *rows):
    mask = np.zeros((8, 8), bool)
    mask[list(rows)] = True
    return TrueSegment(label, encode_mask(mask))


def test_score_is_the_mean_iou_of_partners():
    truth = [segment(0, 0, 1), segment(1, 4, 5)]
    assert image_score(truth, truth) == 100
    assert image_score([], []) == 100
    assert image_score(truth, []) == image_score([], truth) == 0
    # One of two is found, half of it.
    assert image_score(truth, [segment(0, 0)]) == pytest.approx(25)
    # The other class is no partner, and what was made up counts.
    assert image_score(truth, [segment(1, 0, 1), segment(1, 4, 5)]) == pytest.approx(100 / 3)
    # Each has one partner: the second of the same rows is left over.
    assert image_score(truth[:1], [segment(0, 0, 1), segment(0, 0, 1)]) == pytest.approx(50)


def test_segments_of_each_kind_of_result():
    sample = DetDataSample()
    labels = np.zeros((8, 8), np.int64)
    labels[4:] = 2
    sample.pred_sem_seg = PixelData(sem_seg=torch.from_numpy(labels)[None])
    assert [row.label for row in predicted_segments(sample, 'pred_sem_seg')] == [0, 2]
    masks = [segment(0, 1).mask, segment(0, 2).mask]
    sample.pred_instances = InstanceData(labels=torch.tensor([3, 4]), scores=torch.tensor([0.9, 0.1]), masks=masks)
    assert predicted_segments(sample, 'pred_instances') == [TrueSegment(3, masks[0])]
    sample.pred_panoptic_seg = PixelData(metainfo=dict(segments_info=[dict(id=7, label=1)]))
    sample.pred_panoptic_seg.id_map = torch.from_numpy(np.where(labels == 2, 7, 0))[None]
    [found] = predicted_segments(sample, 'pred_panoptic_seg')
    assert found == segment(1, 4, 5, 6, 7)
