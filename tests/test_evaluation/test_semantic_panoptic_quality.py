"""SemanticPanopticQuality against panopticapi, on real maps of COCO."""

import cv2
import numpy as np
import pytest
from panopticapi.evaluation import pq_compute_single_core

from mask2former.registry import METRICS

from .samples import panoptic, run, sample, semantic
from .test_panoptic_quality import panopticapi_result, write_png

COUNT = 30


def build(**options):
    return METRICS.build(dict(type='SemanticPanopticQuality', **options))


def official(tmp_path, split, pairs):
    """Return panopticapi's result of pairs of (map, segments_info) of ground truth and prediction."""
    sets = []
    for side, folder in enumerate(('gt', 'pred')):
        (tmp_path / folder).mkdir()
        annotations = []
        for number, pair in enumerate(pairs):
            id_map, segments = pair[side]
            write_png(tmp_path / folder / f'{number}.png', id_map)
            annotations.append(
                dict(
                    image_id=number,
                    file_name=f'{number}.png',
                    segments_info=[
                        dict(
                            id=s['id'],
                            category_id=split.meta['category_ids'][s['label']],
                            iscrowd=int(s['iscrowd']),
                            area=int((id_map == s['id']).sum()),
                        )
                        for s in segments
                    ],
                )
            )
        sets.append(annotations)
    stat = pq_compute_single_core(0, list(zip(*sets)), str(tmp_path / 'gt'), str(tmp_path / 'pred'), split.categories)
    return {f'sem/{key}': value for key, value in panopticapi_result(stat, split.categories).items()}


@pytest.fixture(scope='module')
def shifted(coco_val):
    """Semantic predictions: the true labels moved, void filled with a class of the image, one class renamed."""
    rng = np.random.default_rng(0)
    samples, truths, preds = [], [], []
    for place in range(COUNT):
        id_map, segments = coco_val.maps[place], coco_val.segments(place)
        truth = np.full(id_map.shape, -1)
        for segment in segments:
            truth[id_map == segment['id']] = segment['label']
        classes = [segment['label'] for segment in segments]
        pred = np.roll(np.where(truth < 0, classes[0], truth), rng.integers(-5, 6, size=2), axis=(0, 1))
        pred[pred == rng.choice(classes)] = rng.integers(len(coco_val.meta['classes']))
        samples.append(sample(place, gt_panoptic_seg=panoptic(id_map, segments), pred_sem_seg=semantic(pred)))
        truths.append(truth)
        preds.append(pred)
    return samples, truths, preds


def segments_of(labels):
    return [dict(id=label + 1, label=label, iscrowd=0) for label in np.unique(labels[labels >= 0]).tolist()]


def test_one_segment_a_class_equals_panopticapi(coco_val, shifted, tmp_path):
    samples, truths, preds = shifted
    expected = official(
        tmp_path,
        coco_val,
        [((truth + 1, segments_of(truth)), (pred + 1, segments_of(pred))) for truth, pred in zip(truths, preds)],
    )
    assert run(build(), samples, coco_val.meta) == pytest.approx(expected, abs=1e-9)
    assert 20 < expected['sem/PQ'] < 95


def test_components_equal_panopticapi(coco_val, shifted, tmp_path):
    """The components are OpenCV's here."""
    samples, _, preds = shifted
    pairs = []
    for place, pred in enumerate(preds):
        id_map, segments = np.zeros_like(pred), []
        for label in np.unique(pred).tolist():
            mask = (pred == label).astype(np.uint8)
            count, parts = (
                cv2.connectedComponents(mask, connectivity=4) if coco_val.meta['isthing'][label] else (2, mask)
            )
            for part in range(1, count):
                segments.append(dict(id=len(segments) + 1, label=label, iscrowd=0))
                id_map[parts == part] = len(segments)
        pairs.append(((coco_val.maps[place], coco_val.segments(place)), (id_map, segments)))
    expected = official(tmp_path, coco_val, pairs)
    result = run(build(segments='components', classwise=True), samples, coco_val.meta)
    of_class = {key: result.pop(key) for key in list(result) if key.startswith('sem/PQ/')}
    assert result == pytest.approx(expected, abs=1e-9)
    assert np.mean(list(of_class.values())) == pytest.approx(result['sem/PQ'], abs=1e-9)
    assert result['sem/PQ_th'] != run(build(), samples, coco_val.meta)['sem/PQ_th']


def test_faults_are_named():
    meta = dict(classes=('a', 'b'), isthing=(True, False))
    with pytest.raises(ValueError, match="segments is 'blobs': give 'classes' or 'components'"):
        build(segments='blobs')
    labels = semantic(np.zeros((4, 5)))
    with pytest.raises(ValueError, match="has no 'gt_panoptic_seg': .*segments='classes'"):
        run(build(segments='components'), [sample(0, gt_sem_seg=labels, pred_sem_seg=labels)], meta)
    with pytest.raises(ValueError, match=r'0\.jpg is \(4, 5\) .* \(4, 6\)'):
        run(build(), [sample(0, gt_sem_seg=semantic(np.zeros((4, 6))), pred_sem_seg=labels)], meta)
    with pytest.raises(ValueError, match=r'0\.jpg: .*label 2'):
        run(build(), [sample(0, gt_sem_seg=labels, pred_sem_seg=semantic(np.full((4, 5), 2)))], meta)
