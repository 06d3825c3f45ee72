"""PanopticQuality against panopticapi, on random maps and on COCO."""

import numpy as np
import pytest
from panopticapi.evaluation import pq_compute_single_core
from PIL import Image

from mask2former.evaluation import match_segments
from mask2former.registry import METRICS

from .samples import panoptic, run, run_on_ranks, sample

KEYS = ('PQ', 'SQ', 'RQ')


def write_png(path, id_map):
    ids = id_map.astype(np.uint32)
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    Image.fromarray(rgb).save(path, compress_level=1)


def panopticapi_result(stat, categories):
    """Return PQ, SQ, RQ of panopticapi under the keys of the metric; an absent group divides by zero there."""
    result = {}
    for suffix, group in (('', None), ('_th', True), ('_st', False)):
        try:
            average = stat.pq_average(categories, isthing=group)[0]
        except ZeroDivisionError:
            average = dict(pq=0.0, sq=0.0, rq=0.0)
        result.update({key + suffix: 100 * average[key.lower()] for key in KEYS})
    return result


def random_image(rng, num_classes, size=(40, 56)):
    """Return a pair of overlapping random maps with their segments: void, crowds (also two of a class), misses."""

    def blocks(count, offset):
        id_map = np.zeros(size, dtype=np.int32)
        for i in rng.permutation(count):
            y, x = rng.integers(0, size[0] - 4), rng.integers(0, size[1] - 4)
            id_map[y : y + rng.integers(4, 25), x : x + rng.integers(4, 25)] = offset + 977 * i
        return id_map

    gt = blocks(rng.integers(0, 12), 1)
    pred = blocks(rng.integers(0, 8), 70000)
    for gt_id in np.unique(gt)[1:]:
        if rng.random() < 0.7:  # a prediction that mostly covers the ground truth
            cover = (gt == gt_id) & (rng.random(size) < rng.uniform(0.4, 1))
            pred[cover] = 200000 + gt_id
    pred[gt == 0] = np.where(rng.random((gt == 0).sum()) < 0.5, 0, pred[gt == 0])

    gt_segments = [
        dict(id=int(i), label=int(rng.integers(num_classes)), iscrowd=bool(rng.random() < 0.25), isthing=True)
        for i in np.unique(gt)
        if i
    ]
    gt_label = {s['id']: s['label'] for s in gt_segments}
    pred_segments = []
    for i in np.unique(pred)[np.unique(pred) > 0].tolist():
        label = gt_label.get(i - 200000, int(rng.integers(num_classes)))
        pred_segments.append(dict(id=i, label=label, isthing=True, score=0.5))
    return gt, gt_segments, pred, pred_segments


def test_random_maps_equal_panopticapi(tmp_path):
    rng = np.random.default_rng(0)
    categories = {10 + i: dict(id=10 + i, isthing=int(i < 4)) for i in range(8)}  # classes 6 and 7 never occur
    meta = dict(classes=tuple('abcdefgh'), isthing=(True,) * 4 + (False,) * 4)
    samples, pairs = [], []
    for folder in ('gt', 'pred'):
        (tmp_path / folder).mkdir()
    for number in range(60):
        gt, gt_segments, pred, pred_segments = random_image(rng, 6)
        samples.append(
            sample(number, gt_panoptic_seg=panoptic(gt, gt_segments), pred_panoptic_seg=panoptic(pred, pred_segments))
        )
        write_png(tmp_path / 'gt' / f'{number}.png', gt)
        write_png(tmp_path / 'pred' / f'{number}.png', pred)
        pairs.append(
            (
                dict(
                    image_id=number,
                    file_name=f'{number}.png',
                    segments_info=[
                        dict(
                            id=s['id'],
                            category_id=10 + s['label'],
                            iscrowd=int(s['iscrowd']),
                            area=int((gt == s['id']).sum()),
                        )
                        for s in gt_segments
                    ],
                ),
                dict(
                    image_id=number,
                    file_name=f'{number}.png',
                    segments_info=[dict(id=s['id'], category_id=10 + s['label']) for s in pred_segments],
                ),
            )
        )
    stat = pq_compute_single_core(0, pairs, str(tmp_path / 'gt'), str(tmp_path / 'pred'), categories)
    expected = panopticapi_result(stat, categories)

    assert min(expected.values()) > 5
    assert run(METRICS.build(dict(type='PanopticQuality')), samples, meta) == pytest.approx(expected, abs=1e-10)
    counts = np.zeros((3, 8), dtype=int)
    for s in samples:
        result = match_segments(
            s.gt_panoptic_seg.id_map[0].numpy(),
            s.gt_panoptic_seg.segments_info,
            s.pred_panoptic_seg.id_map[0].numpy(),
            s.pred_panoptic_seg.segments_info,
            8,
        )
        counts[:, result.labels] += [result.tp, result.fp, result.fn]
    assert counts.tolist() == [[getattr(stat[10 + i], name) for i in range(8)] for name in ('tp', 'fp', 'fn')]

    shares = (range(0, 60, 3), range(1, 60, 3), range(2, 42, 3), range(59, 41, -3))
    whole = run(METRICS.build(dict(type='PanopticQuality')), samples, meta)
    split = run_on_ranks(lambda: METRICS.build(dict(type='PanopticQuality')), samples, meta, shares)
    assert split == whole  # to the last bit


@pytest.mark.parametrize(
    'area, above', [(100, False), (150, False), (20, True)], ids=['true', 'under things, too', 'too small']
)
def test_areas_are_those_of_the_map_whatever_the_file_says(area, above, tmp_path):
    """panopticapi believes the file: areas with what things cover lower its PQ, and too small ones give over 100."""
    gt = np.repeat([[1, 2]], 10, axis=1).reshape(1, 20).repeat(10, axis=0)  # 100 pixels each
    pred = gt.copy()
    pred[0, :10] = 2
    infos = [dict(id=1, label=0, isthing=False, iscrowd=False), dict(id=2, label=1, isthing=True, iscrowd=False)]
    written = [dict(info, category_id=info['label'], area=[area, 100][info['label']]) for info in infos]
    for folder, id_map in (('gt', gt), ('pred', pred)):
        (tmp_path / folder).mkdir()
        write_png(tmp_path / folder / '0.png', id_map)
    pair = tuple(dict(image_id=0, file_name='0.png', segments_info=[dict(info) for info in written]) for _ in range(2))
    categories = {0: dict(id=0, isthing=0), 1: dict(id=1, isthing=1)}
    stat = pq_compute_single_core(0, [pair], str(tmp_path / 'gt'), str(tmp_path / 'pred'), categories)
    theirs = panopticapi_result(stat, categories)['PQ']
    ours = run(
        METRICS.build(dict(type='PanopticQuality')),
        [sample(0, gt_panoptic_seg=panoptic(gt, written), pred_panoptic_seg=panoptic(pred, infos))],
        dict(classes=('sky', 'cat'), isthing=(False, True)),
    )['PQ']
    assert ours == pytest.approx(50 * (90 / 100 + 100 / 110), rel=1e-12)
    assert (theirs > 100) == above
    assert (theirs == pytest.approx(ours, rel=1e-12)) == (area == 100)
    assert (theirs < ours) == (area > 100)


def shift(id_map, segments):
    moved = np.zeros_like(id_map)
    moved[:, 6:] = id_map[:, :-6]
    return moved, segments


def merge(id_map, segments):
    """Put all segments of a class into one."""
    first, merged = {}, id_map.copy()
    for segment in segments:
        target = first.setdefault(segment['label'], segment['id'])
        merged[id_map == segment['id']] = target
    return merged, [s for s in segments if s['id'] in first.values()]


def swap(id_map, segments):
    """Give every third segment the class of the next one."""
    labels = [s['label'] for s in segments]
    return id_map, [
        dict(s, label=labels[(i + 1) % len(labels)] if i % 3 == 0 else labels[i]) for i, s in enumerate(segments)
    ]


def drop(id_map, segments):
    """Leave every fourth segment void."""
    gone = [s['id'] for s in segments[::4]]
    return np.where(np.isin(id_map, gone), 0, id_map), [s for s in segments if s['id'] not in gone]


# Values of this metric on the first images of coco_panoptic_200 val2017 (None: all 100), equal to panopticapi's.
KNOWN = {
    shift: (None, dict(PQ=67.6337014796, SQ=77.9274524714, RQ=83.6136303493, PQ_th=61.1546648832, PQ_st=76.6046752083)),
    merge: (30, dict(PQ=84.2909223225, SQ=93.1179992332, RQ=86.5016462632, PQ_th=71.3138581542, PQ_st=100.0)),
    swap: (30, dict(PQ=63.1859687771, SQ=80.9523809524, RQ=63.1859687771, PQ_th=66.2804745402, PQ_st=59.4399881165)),
    drop: (30, dict(PQ=78.035489837, SQ=86.9047619048, RQ=78.035489837, PQ_th=76.6015570108, PQ_st=79.7713032581)),
}


@pytest.mark.parametrize('disturb', KNOWN, ids=lambda function: function.__name__)
def test_coco_equals_panopticapi(disturb, coco_val, tmp_path):
    count, known = KNOWN[disturb]
    samples, pairs = [], []
    for place, (annotation, gt) in enumerate(zip(coco_val.annotations[:count], coco_val.maps)):
        segments = coco_val.segments(place)
        pred, pred_segments = disturb(gt, segments)
        present = set(np.unique(pred).tolist())
        pred_segments = [s for s in pred_segments if s['id'] in present]
        samples.append(
            sample(
                annotation['image_id'],
                gt_panoptic_seg=panoptic(gt, segments),
                pred_panoptic_seg=panoptic(pred, pred_segments),
            )
        )
        write_png(tmp_path / annotation['file_name'], pred)
        pairs.append(
            (
                annotation,
                dict(
                    annotation,
                    segments_info=[
                        dict(id=s['id'], category_id=coco_val.meta['category_ids'][s['label']]) for s in pred_segments
                    ],
                ),
            )
        )
    stat = pq_compute_single_core(0, pairs, coco_val.folder, str(tmp_path), coco_val.categories)

    result = run(METRICS.build(dict(type='PanopticQuality')), samples, coco_val.meta)
    assert result == pytest.approx(panopticapi_result(stat, coco_val.categories), abs=1e-10)
    assert {key: result[key] for key in known} == pytest.approx(known, abs=1e-6)


def test_perfect_prediction_of_coco(coco_val):
    samples = [
        sample(
            i,
            gt_panoptic_seg=panoptic(coco_val.maps[i], coco_val.segments(i)),
            pred_panoptic_seg=panoptic(coco_val.maps[i], coco_val.segments(i)),
        )
        for i in range(10)
    ]
    result = run(METRICS.build(dict(type='PanopticQuality')), samples, coco_val.meta)
    assert {key: result[key] for key in ('PQ', 'PQ_th', 'PQ_st')} == dict(PQ=100.0, PQ_th=100.0, PQ_st=100.0)
