"""The rules of panoptic quality, case by case, and what it says of wrong samples."""

import numpy as np
import pytest

from mask2former.evaluation import match_segments
from mask2former.registry import METRICS

from .samples import logs_to, panoptic, run, sample

KEYS = ('PQ', 'SQ', 'RQ')

META = dict(classes=('cat', 'sky'), isthing=(True, False))
HALF = np.repeat([[1, 2]], 8, axis=1).reshape(1, 16).repeat(4, axis=0)  # ids 1 | 2, (4, 16)
HALF_SEGMENTS = [dict(id=1, label=0, isthing=True, iscrowd=False), dict(id=2, label=1, isthing=False, iscrowd=False)]


def evaluate_one(gt, gt_segments, pred, pred_segments, **options):
    samples = [sample(1, gt_panoptic_seg=panoptic(gt, gt_segments), pred_panoptic_seg=panoptic(pred, pred_segments))]
    return run(METRICS.build(dict(type='PanopticQuality', **options)), samples, META)


def test_empty_prediction_and_empty_ground_truth():
    void = np.zeros_like(HALF)
    assert set(evaluate_one(HALF, HALF_SEGMENTS, void, []).values()) == {0.0}
    assert set(evaluate_one(void, [], HALF, HALF_SEGMENTS).values()) == {0.0}
    assert set(evaluate_one(void, [], void, []).values()) == {0.0}


def test_absent_group_is_zero():
    only_things = np.where(HALF == 1, 1, 0)
    result = evaluate_one(only_things, HALF_SEGMENTS[:1], only_things, HALF_SEGMENTS[:1])
    assert (result['PQ'], result['PQ_th'], result['PQ_st']) == (100.0, 100.0, 0.0)


def test_crowd_excuses_its_own_class_only():
    crowd = [dict(id=1, label=0, isthing=True, iscrowd=True)]
    gt = np.ones((4, 4), dtype=int)
    own = match_segments(gt, crowd, gt, [dict(id=1, label=0)], 2)
    other = match_segments(gt, crowd, gt, [dict(id=1, label=1)], 2)
    assert own.labels.tolist() == []
    assert (other.labels.tolist(), other.fp.tolist(), other.fn.tolist()) == ([1], [1], [0])


def test_iou_of_exactly_a_half_is_no_match():
    gt = np.array([[1, 1, 1, 0]])
    pred = np.array([[5, 5, 5, 5]])
    listed = [dict(id=1, label=0, iscrowd=False)]
    assert match_segments(gt, listed, pred, [dict(id=5, label=0)], 1).iou_sum.tolist() == [1.0]  # void not in the union
    gt = np.array([[1, 1, 2, 2]])
    listed.append(dict(id=2, label=1, iscrowd=False))
    counts = match_segments(gt, listed, pred, [dict(id=5, label=0)], 2)
    assert (counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist()) == ([0, 0], [1, 0], [1, 1])


def test_classwise_is_a_table_and_metrics(caplog):
    with logs_to(caplog):
        result = evaluate_one(HALF, HALF_SEGMENTS, HALF, HALF_SEGMENTS, classwise=True)
    assert 'cat 100.00 100.00 100.00 1 0 0' in [
        ' '.join(line.replace('|', ' ').split()) for line in caplog.text.splitlines()
    ]
    assert result['PQ/cat'] == 100
    assert {key for key in result if '/' not in key} == evaluate_one(HALF, HALF_SEGMENTS, HALF, HALF_SEGMENTS).keys()


@pytest.mark.parametrize(
    'fields, pattern',
    [
        (
            dict(pred_panoptic_seg=panoptic(HALF, HALF_SEGMENTS)),
            r"7\.jpg has no 'gt_panoptic_seg': .*LoadPanopticGround",
        ),
        (dict(gt_panoptic_seg=panoptic(HALF, HALF_SEGMENTS)), r"7\.jpg has no 'pred_panoptic_seg': .*postprocessor"),
        (
            dict(gt_panoptic_seg=panoptic(HALF, HALF_SEGMENTS), pred_panoptic_seg=panoptic(HALF[:3], HALF_SEGMENTS)),
            r'7\.jpg is \(3, 16\) .* \(4, 16\): predict at the original size',
        ),
        (
            dict(gt_panoptic_seg=panoptic(HALF, HALF_SEGMENTS), pred_panoptic_seg=panoptic(HALF, HALF_SEGMENTS[:1])),
            r'7\.jpg: The predicted map has the id 2, which its segments_info does not list',
        ),
        (
            dict(
                gt_panoptic_seg=panoptic(HALF, HALF_SEGMENTS), pred_panoptic_seg=panoptic(HALF * 0 + 1, HALF_SEGMENTS)
            ),
            r'lists the id 2, which has no pixel',
        ),
        (
            dict(
                gt_panoptic_seg=panoptic(HALF, HALF_SEGMENTS),
                pred_panoptic_seg=panoptic(HALF, [HALF_SEGMENTS[0], dict(HALF_SEGMENTS[1], label=2)]),
            ),
            r'segment 2 has the label 2, but the data set has 2 classes',
        ),
    ],
)
def test_faults_are_named(fields, pattern):
    with pytest.raises(ValueError, match=pattern):
        run(METRICS.build(dict(type='PanopticQuality')), [sample(7, **fields)], META)


def test_missing_metainfo_is_named():
    fields = dict(gt_panoptic_seg=panoptic(HALF, HALF_SEGMENTS), pred_panoptic_seg=panoptic(HALF, HALF_SEGMENTS))
    with pytest.raises(ValueError, match="no 'isthing' of the data set"):
        run(METRICS.build(dict(type='PanopticQuality')), [sample(7, **fields)], dict(classes=('cat', 'sky')))


def test_misspelt_option_is_refused():
    with pytest.raises(TypeError, match='class_wise'):
        METRICS.build(dict(type='PanopticQuality', class_wise=True))
