"""SemanticIoU against a count of pixels by hand and against mmdet's SemSegMetric."""

import numpy as np
import pytest
from mmdet.evaluation import SemSegMetric
from PIL import Image
from pycocotools import mask as mask_utils
from scipy.ndimage import binary_erosion

from mask2former.evaluation.label_boundary import label_boundary
from mask2former.registry import METRICS

from .samples import panoptic, run, run_on_ranks, sample, semantic

CLASSES = tuple('abcdefg')
META = dict(classes=CLASSES, isthing=(True,) * 3 + (False,) * 4)


def build(**options):
    return METRICS.build(dict(type='SemanticIoU', **options))


def random_samples(rng, count, classes_in_truth=5, classes_in_prediction=5):
    """Return samples with void, of sizes that differ, with predictions that are mostly right."""
    samples = []
    for number in range(count):
        size = tuple(rng.integers(20, 40, size=2))
        truth = rng.integers(classes_in_truth, size=size)
        pred = np.where(rng.random(size) < 0.7, truth, rng.integers(classes_in_prediction, size=size))
        truth[rng.random(size) < 0.1] = 255
        samples.append(sample(number, gt_sem_seg=semantic(truth), pred_sem_seg=semantic(pred)))
    return samples


def by_hand(samples):
    """Return the four numbers by loops over classes, from the pixels of all images in one row."""
    truth = np.concatenate([s.gt_sem_seg.sem_seg.numpy().ravel() for s in samples])
    pred = np.concatenate([s.pred_sem_seg.sem_seg.numpy().ravel() for s in samples])
    pred, truth = pred[truth != 255], truth[truth != 255]
    ious, accuracies, weights = [], [], []
    for label in range(len(CLASSES)):
        is_truth, is_pred = truth == label, pred == label
        if is_truth.any():
            ious.append((is_truth & is_pred).sum() / (is_truth | is_pred).sum())
            accuracies.append((is_truth & is_pred).sum() / is_truth.sum())
            weights.append(is_truth.mean())
    return dict(
        mIoU=100 * np.mean(ious),
        fwIoU=100 * np.dot(ious, weights),
        mAcc=100 * np.mean(accuracies),
        aAcc=100 * np.mean(pred == truth),
    )


@pytest.mark.parametrize('predicted', [5, 7])  # 7: two classes are predicted that the ground truth lacks
def test_equals_count_by_hand(predicted):
    samples = random_samples(np.random.default_rng(0), 9, classes_in_prediction=predicted)
    expected = by_hand(samples)
    assert run(build(), samples, META) == pytest.approx(expected, abs=1e-10)
    assert run_on_ranks(build, samples, META, [(8, 1, 2, 3), (0,), (7, 4, 6, 5)]) == run(build(), samples, META)


def test_equals_mmdet_where_all_predicted_classes_occur():
    samples = random_samples(np.random.default_rng(1), 5)
    expected = run(SemSegMetric(), samples, META)
    result = run(build(), samples, META)
    for key in ('mIoU', 'mAcc'):  # mmdet's aAcc is a mean over classes too
        assert result[key] == pytest.approx(expected[key], abs=5.01e-3)  # mmdet rounds to two digits


def real_labels(split, place):
    """Return the label map of an image of COCO, 255 is void."""
    id_map = split.maps[place]
    labels = np.full(id_map.shape, 255)
    for segment in split.segments(place):
        labels[id_map == segment['id']] = segment['label']
    return labels


def test_coco_equals_the_formulae_of_detectron2_and_mmseg(coco_val):
    """On real maps, from a confusion matrix over all pixels (sem_seg_evaluation.py; mmseg's total_area_to_metrics)."""
    rng = np.random.default_rng(3)
    num_classes = len(coco_val.meta['classes'])
    samples, confusion = [], np.zeros((num_classes, num_classes))
    for place in range(40):
        truth = real_labels(coco_val, place)
        classes = np.unique(truth[truth < 255])
        pred = np.roll(np.where(truth == 255, classes[0], truth), rng.integers(-9, 10, size=2), axis=(0, 1))
        swapped = pred == rng.choice(classes)
        pred[swapped] = rng.choice(classes)
        samples.append(sample(place, gt_sem_seg=semantic(truth), pred_sem_seg=semantic(pred)))
        np.add.at(confusion, (truth[truth < 255], pred[truth < 255]), 1)
    hits, actual, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    valid = actual > 0
    iou = hits[valid] / (actual + predicted - hits)[valid]
    expected = dict(
        mIoU=iou.mean(),
        fwIoU=(iou * actual[valid]).sum() / actual.sum(),
        mAcc=(hits[valid] / actual[valid]).mean(),
        aAcc=hits.sum() / actual.sum(),
    )
    assert run(build(), samples, coco_val.meta) == pytest.approx(
        {key: 100 * value for key, value in expected.items()}, abs=1e-10
    )
    assert not (predicted[~valid] > 0).any()  # so mmseg's nan-mean, which counts such classes, is the same
    with np.errstate(invalid='ignore'):
        assert 100 * np.nanmean(hits / (actual + predicted - hits)) == pytest.approx(100 * iou.mean(), abs=1e-10)


def test_panoptic_ground_truth_gives_the_same():
    rng = np.random.default_rng(2)
    from_semantic, from_panoptic = [], []
    for number, s in enumerate(random_samples(rng, 4)):
        truth = s.gt_sem_seg.sem_seg[0].numpy()
        # Two segments a class, one of them crowd; class 1 is left out of segments_info like void.
        half = rng.integers(2, size=truth.shape)
        id_map = np.where(truth == 255, 0, 5000 + 7 * truth + half)
        segments = [
            dict(id=5000 + 7 * label + part, label=label, isthing=True, iscrowd=bool(part))
            for label in range(5)
            for part in range(2)
            if label != 1
        ]
        from_panoptic.append(sample(number, gt_panoptic_seg=panoptic(id_map, segments), pred_sem_seg=s.pred_sem_seg))
        truth = np.where(truth == 1, 254, np.where(truth == 255, 254, truth))
        from_semantic.append(sample(number, gt_sem_seg=semantic(truth, ignore_index=254), pred_sem_seg=s.pred_sem_seg))
    assert run(build(), from_panoptic, META) == run(build(), from_semantic, META)


def test_coco_shifted(coco_val):
    """A regression: every label map of COCO val moved 6 px to the right; the freed strip is the first class."""
    samples = []
    for place, id_map in enumerate(coco_val.maps):
        label_of = {s['id']: s['label'] for s in coco_val.segments(place)}
        ids, inverse = np.unique(id_map, return_inverse=True)
        labels = np.array([label_of.get(int(i), 0) for i in ids])[inverse.reshape(id_map.shape)]
        pred = np.zeros_like(labels)
        pred[:, 6:] = labels[:, :-6]
        samples.append(
            sample(place, gt_panoptic_seg=panoptic(id_map, coco_val.segments(place)), pred_sem_seg=semantic(pred))
        )
    assert run(build(), samples, coco_val.meta) == pytest.approx(
        dict(mIoU=81.5018860972, fwIoU=90.6891562676, mAcc=88.0034355238, aAcc=94.9738272546), abs=1e-6
    )


def edge_of(mask, way):
    """Return the boundary of a mask (H, W) by an implementation that is not ours."""
    if way == 'scipy':  # the definition: what as many erosions by a 3 x 3 square take away; outside is background
        rounds = max(1, int(round(0.02 * float(np.hypot(*mask.shape)))))
        return mask & ~binary_erosion(mask, np.ones((3, 3)), iterations=rounds, border_value=0)
    from faster_coco_eval.core.mask import rleToBoundary

    rle = mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
    return mask_utils.decode(rleToBoundary(rle, 0.02)).astype(bool)


def boundary_by_class(samples, truths, num_classes, way):
    """Return mBIoU from the masks of each class one by one; 255 is void."""
    inner, outer = np.zeros(num_classes), np.zeros(num_classes)
    for s, truth in zip(samples, truths):
        pred = s.pred_sem_seg.sem_seg[0].numpy()
        for label in set(np.unique(truth).tolist()) | set(np.unique(pred).tolist()) - {255}:
            if label != 255:
                edges = edge_of(truth == label, way), edge_of(pred == label, way)
                inner[label] += (edges[0] & edges[1] & (truth != 255)).sum()
                outer[label] += ((edges[0] | edges[1]) & (truth != 255)).sum()
    present = np.bincount(np.concatenate([truth[truth != 255] for truth in truths]), minlength=num_classes) > 0
    return 100 * (inner[present] / outer[present]).mean()


@pytest.mark.parametrize('way', ['faster_coco_eval', 'scipy'])
def test_boundary_on_camvid_equals_masks_one_by_one(shared_data, way):
    """Real labels with real void; moved by up to 4 px, one class renamed in each."""
    pytest.importorskip(way)
    root = shared_data / 'camvid'
    if not root.is_dir():
        pytest.skip(f"no CamVid: put it into '{root}'")
    rng = np.random.default_rng(5)
    samples, truths = [], []
    for place, path in enumerate(sorted((root / 'semantic_val').glob('*.png'))[:12]):
        truth = np.array(Image.open(path)).astype(np.int64)
        pred = np.roll(np.where(truth == 255, 3, truth), rng.integers(-4, 5, size=2), axis=(0, 1))
        pred[pred == rng.integers(11)] = rng.integers(11)
        samples.append(sample(place, gt_sem_seg=semantic(truth), pred_sem_seg=semantic(pred)))
        truths.append(truth)
    meta = dict(classes=tuple('abcdefghijk'))
    result = run(build(boundary=True, classwise=True), samples, meta)
    for key in ('mIoU', 'mBIoU'):
        of_class = [result.pop(name) for name in list(result) if name.startswith(f'{key}/')]
        assert len(of_class) == 11 and np.mean(of_class) == pytest.approx(result[key], abs=1e-12)
    mbiou = result.pop('mBIoU')
    assert mbiou == pytest.approx(boundary_by_class(samples, truths, 11, way), abs=1e-12)
    assert 20 < mbiou < 0.9 * result['mIoU'] and result == run(build(), samples, meta)
    shares = [(8, 1, 2, 3), (0, 11, 9), (7, 10, 4, 6, 5)]
    assert run_on_ranks(lambda: build(boundary=True), samples, meta, shares)['mBIoU'] == mbiou


def test_boundary_on_coco_equals_masks_one_by_one(coco_val):
    """133 classes, void from panoptic maps."""
    pytest.importorskip('faster_coco_eval')
    samples, truths = [], []
    for place in range(8):
        truth = real_labels(coco_val, place)
        pred = np.roll(np.where(truth == 255, 100, truth), 3, axis=(0, 1))
        samples.append(
            sample(
                place,
                pred_sem_seg=semantic(pred),
                gt_panoptic_seg=panoptic(coco_val.maps[place], coco_val.segments(place)),
            )
        )
        truths.append(truth)
    num_classes = len(coco_val.meta['classes'])
    expected = boundary_by_class(samples, truths, num_classes, 'faster_coco_eval')
    assert run(build(boundary=True), samples, coco_val.meta)['mBIoU'] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize('size', [(1, 1), (7, 30), (120, 90), (300, 200)])
@pytest.mark.parametrize('count', [3, 400])  # 400 labels need more than a byte
def test_boundary_of_every_label(size, count):
    rng = np.random.default_rng(sum(size))
    coarse = rng.integers(count, size=tuple(-(-side // 25) for side in size))
    labels = np.kron(coarse, np.ones((25, 25), dtype=int))[: size[0], : size[1]]
    edges = label_boundary(labels)
    for label in np.unique(labels):
        np.testing.assert_array_equal(edges & (labels == label), edge_of(labels == label, 'scipy'))


def test_all_void_is_zero():
    void = sample(0, gt_sem_seg=semantic(np.full((4, 5), 255)), pred_sem_seg=semantic(np.zeros((4, 5))))
    assert set(run(build(classwise=True, boundary=True), [void], META).values()) == {0.0}


def test_faults_are_named():
    labels = semantic(np.zeros((4, 5)))
    with pytest.raises(ValueError, match="has no 'gt_panoptic_seg': .*LoadPanopticGroundTruth.*gt_sem_seg"):
        run(build(), [sample(0, pred_sem_seg=labels)], META)
    with pytest.raises(ValueError, match="has no 'pred_sem_seg'"):
        run(build(), [sample(0, gt_sem_seg=labels)], META)
    with pytest.raises(ValueError, match=r'0\.jpg is \(4, 6\) .* \(4, 5\)'):
        run(build(), [sample(0, gt_sem_seg=labels, pred_sem_seg=semantic(np.zeros((4, 6))))], META)
    with pytest.raises(ValueError, match=r'predicted label is out of range \(they go from 7 to 7\)'):
        run(build(), [sample(0, gt_sem_seg=labels, pred_sem_seg=semantic(np.full((4, 5), 7)))], META)
