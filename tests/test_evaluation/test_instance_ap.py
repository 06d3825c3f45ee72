"""InstanceAP against pycocotools' own COCOeval.summarize, which has no part in the fast evaluator."""

import json

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

from .instance_results import build, close, disturbed, pycocotools_result
from .samples import instances, logs_to, panoptic, run, run_on_ranks, sample


@pytest.mark.parametrize('backend', ['faster-coco-eval', 'pycocotools'])
def test_annotation_file_equals_pycocotools(real, backend):
    if backend == 'faster-coco-eval':
        pytest.importorskip('faster_coco_eval')
    ann_file, truth, meta, samples, _, expected = real
    result = run(build(ann_file=ann_file, backend=backend), samples, meta)
    assert result == close(expected)
    assert 10 < result['segm_mAP'] < 90 and result['segm_mAP'] != result['bbox_mAP']

    shares = (range(0, 100, 2), range(99, 40, -2), range(1, 40, 2))
    merged = run_on_ranks(lambda: build(ann_file=ann_file, backend=backend), samples, meta, shares)
    assert merged == close(expected)
    by_name = dict(classes=meta['classes'], isthing=meta['isthing'])
    assert run(build(ann_file=ann_file, metric='bbox', backend=backend), samples, by_name) == close(
        {key: value for key, value in expected.items() if key.startswith('bbox')}
    )


def test_only_images_seen_are_evaluated(real):
    ann_file, truth, meta, samples, results, _ = real
    seen = samples[:30]
    ids = [s.img_id for s in seen]
    results = [r for r in results if r['image_id'] in ids]
    assert run(build(ann_file=ann_file, metric='segm'), seen, meta) == close(
        pycocotools_result(truth, results, 'segm', ids)
    )


@pytest.mark.parametrize('backend', ['faster-coco-eval', 'pycocotools'])
def test_classwise_equals_pycocotools_on_each_class(real, backend, caplog):
    if backend == 'faster-coco-eval':
        pytest.importorskip('faster_coco_eval')
    ann_file, truth, meta, samples, results, expected = real
    with logs_to(caplog):
        result = run(build(ann_file=ann_file, backend=backend, classwise=True), samples, meta)
    assert {key: result[key] for key in expected} == close(expected)
    ids = [s.img_id for s in samples]
    for kind, title in (('segm', 'Mask'), ('bbox', 'Box')):
        of_class = {key: value for key, value in result.items() if key.startswith(f'{kind}_mAP/')}
        assert len(set(of_class.values())) > 10
        assert np.mean(list(of_class.values())) == pytest.approx(result[f'{kind}_mAP'], abs=1e-12)
        for name in ('person', 'car'):
            [category] = [c['id'] for c in truth.cats.values() if c['name'] == name]
            alone = pycocotools_result(truth, results, kind, ids, [category])
            assert of_class[f'{kind}_mAP/{name}'] == pytest.approx(alone[f'{kind}_mAP'], abs=1e-12)
            [line] = [
                line
                for record in caplog.records
                if record.message.startswith(f'{title} AP of each class')
                for line in record.message.replace('|', ' ').splitlines()
                if line.split()[:1] == [name]
            ]
            assert line.split()[1:] == [f'{alone[f"{kind}_{key}"]:.2f}' for key in ('mAP', 'mAP_50', 'mAP_75')]
    absent = truth.cats.keys() - {annotation['category_id'] for annotation in truth.anns.values()}
    assert absent and not any(f'segm_mAP/{truth.cats[category]["name"]}' in result for category in absent)


@pytest.mark.parametrize('backend', ['auto', 'pycocotools'])
def test_what_a_training_can_do_without_the_metric_can_too(tmp_path, backend):
    """No ids, areas, boxes or iscrowd: as if the file had those of the masks."""
    first, second = [[0, 0, 40, 0, 40, 40, 0, 40]], [[50, 50, 90, 50, 90, 95, 50, 95]]
    found = np.zeros((2, 100, 100), bool)
    found[0, :40, :40], found[1, 50:95, 50:80] = True, True
    predicted = [sample(3, pred_instances=instances([0, 0], [0.9, 0.8], found))]
    whole = [
        dict(id=1, image_id=3, category_id=7, iscrowd=0, area=1600, bbox=[0, 0, 40, 40], segmentation=first),
        dict(id=2, image_id=3, category_id=7, iscrowd=0, area=1800, bbox=[50, 50, 40, 45], segmentation=second),
    ]
    bare = [{key: row[key] for key in ('image_id', 'category_id', 'segmentation')} for row in whole]
    results = []
    for annotations in (whole, bare, [dict(row, bbox=None) for row in bare]):
        content = dict(images=[dict(id=3, height=100, width=100)], categories=[dict(id=7, name='nucleus')])
        path = tmp_path / 'truth.json'
        path.write_text(json.dumps(dict(content, annotations=annotations)))
        results.append(run(build(ann_file=str(path), backend=backend), predicted, META))
    assert results[0] == results[1] == results[2] and 50 < results[0]['segm_mAP'] < 100


def test_stuff_predictions_are_dropped(real):
    ann_file, truth, meta, samples, _, expected = real
    more = []
    for s in samples:
        size = truth.imgs[s.img_id]['height'], truth.imgs[s.img_id]['width']
        stuff = instances([len(meta['classes']) - 1], [1.0], np.ones((1, *size)))
        more.append(sample(s.img_id, pred_instances=s.pred_instances.cat([stuff, s.pred_instances])))
    assert run(build(ann_file=ann_file), more, meta) == close(expected)


def test_panoptic_ground_truth_equals_pycocotools(coco_val, shared_data, tmp_path):
    """The things of the maps give what a JSON file derived from the same maps gives."""
    count = 40
    stored = json.loads(
        (shared_data / 'coco_panoptic_200' / 'annotations' / 'instances_from_panoptic_val2017.json').read_text()
    )
    ids = [a['image_id'] for a in coco_val.annotations[:count]]
    truth = COCO()
    truth.dataset = dict(
        images=[i for i in stored['images'] if i['id'] in ids],
        categories=stored['categories'],
        annotations=[a for a in stored['annotations'] if a['image_id'] in ids],
    )
    truth.createIndex()
    assert any(a['iscrowd'] for a in truth.dataset['annotations'])
    samples, results = disturbed(truth, ids, coco_val.meta, seed=2)
    for place, s in enumerate(samples):
        s.gt_panoptic_seg = panoptic(coco_val.maps[place], coco_val.segments(place))
    expected = {}
    for kind in ('segm', 'bbox'):
        expected.update(pycocotools_result(truth, results, kind, ids))
    assert run(build(), samples, coco_val.meta) == close(expected)

    shares = (range(0, 25), range(39, 30, -1), range(25, 31))
    assert run_on_ranks(build, samples, coco_val.meta, shares) == close(expected)


META = dict(classes=('nucleus', 'background'), isthing=(True, False))


def nuclei(count, predicted=None):
    """Return a sample with `count` nuclei of 4 x 4 px in a row and a prediction of the first `predicted` of them."""
    id_map = np.zeros((6, 5 * count + 1), dtype=int)
    for i in range(count):
        id_map[1:5, 5 * i + 1 : 5 * i + 5] = i + 1
    segments = [dict(id=i + 1, label=0, isthing=True, iscrowd=False) for i in range(count)]
    shown = range(1, (count if predicted is None else predicted) + 1)
    masks = np.array([id_map == i for i in shown]).reshape(-1, *id_map.shape)
    return sample(
        3,
        gt_panoptic_seg=panoptic(id_map, segments),
        pred_instances=instances([0] * len(masks), np.linspace(0.9, 0.1, len(masks)), masks),
    )


def test_max_dets():
    limited, raised = run(build(), [nuclei(150)], META), run(build(max_dets=[1, 10, 400]), [nuclei(150)], META)
    assert 60 < limited['segm_mAP'] < 70
    assert raised['segm_mAP'] == raised['bbox_mAP_50'] == pytest.approx(100)
    assert raised['segm_mAP_s'] == pytest.approx(100) and raised['segm_mAP_l'] == -1


def test_bitmaps_are_taken_too():
    """The masks of mmdet's models are bitmaps."""
    encoded, bitmaps = nuclei(7, 5), nuclei(7, 5)
    masks = np.stack([mask_utils.decode(mask) for mask in encoded.pred_instances.masks])
    bitmaps.pred_instances.masks = torch.from_numpy(masks).bool()
    assert run(build(), [bitmaps], META) == run(build(), [encoded], META)
    bitmaps.pred_instances.masks = [[0, 0, 1, 1]] * 5
    with pytest.raises(ValueError, match="must be a list of COCO's run-length dicts or bitmaps"):
        run(build(), [bitmaps], META)


def test_no_predictions_give_zero(real):
    assert run(build(metric='segm'), [nuclei(4, 0)], META)['segm_mAP'] == 0
    ann_file, truth, meta, _, _, _ = real
    size = truth.imgs[9]['height'], truth.imgs[9]['width']
    empty = sample(9, pred_instances=instances([], [], np.zeros((0, *size))))
    result = run(build(ann_file=ann_file), [empty], meta)
    assert result['segm_mAP'] == result['bbox_mAP_50'] == 0


def test_no_ground_truth_gives_minus_one():
    void = nuclei(4)
    void.gt_panoptic_seg = panoptic(np.zeros((6, 21)), [])
    assert set(run(build(), [void], META).values()) == {-1.0}


def test_crowd_is_ignored_ground_truth():
    crowd = nuclei(4)
    for segment in crowd.gt_panoptic_seg.segments_info[2:]:
        segment['iscrowd'] = True
    assert run(build(), [crowd], META)['segm_mAP'] == pytest.approx(100)


def test_annotation_id_zero_can_be_matched(tmp_path):
    mask = mask_utils.encode(np.ones((8, 8), dtype=np.uint8, order='F'))
    mask['counts'] = mask['counts'].decode()
    path = tmp_path / 'zero.json'
    path.write_text(
        json.dumps(
            dict(
                images=[dict(id=3, height=8, width=8)],
                categories=[dict(id=7, name='nucleus')],
                annotations=[
                    dict(id=0, image_id=3, category_id=7, iscrowd=0, area=64, bbox=[0, 0, 8, 8], segmentation=mask)
                ],
            )
        )
    )
    predicted = sample(3, pred_instances=instances([0], [0.9], np.ones((1, 8, 8))))
    for backend in ('auto', 'pycocotools'):
        result = run(build(ann_file=str(path), backend=backend), [predicted], META)
        assert result['segm_mAP'] == pytest.approx(100)
    with pytest.raises(ValueError, match=r'3\.jpg is \(8, 9\) .* \(8, 8\)'):
        run(build(ann_file=str(path)), [sample(3, pred_instances=instances([0], [0.9], np.ones((1, 8, 9))))], META)
    with pytest.raises(ValueError, match=r"img_id 4, which is no image of '.*zero.json'"):
        run(build(ann_file=str(path)), [sample(4, pred_instances=predicted.pred_instances)], META)
    with pytest.raises(ValueError, match=r"No category of '.*zero.json' is a class of the data set"):
        run(build(ann_file=str(path)), [predicted], dict(META, category_ids=(1, 2)))


def test_faults_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.json' are not there: fix InstanceAP's ann_file"):
        build(ann_file=str(tmp_path / 'none.json'))
    with pytest.raises(ValueError, match="metric is 'mask': give some of 'segm', 'bbox' and 'boundary'"):
        build(metric='mask')
    with pytest.raises(ValueError, match="'pycocotools' does not know the metric 'boundary'"):
        build(metric='boundary', backend='pycocotools')
    with pytest.raises(ValueError, match="backend is 'slow': give 'auto'"):
        build(backend='slow')
    with pytest.raises(ValueError, match=r'max_dets is \(0, 10\)'):
        build(max_dets=(0, 10))
    with pytest.raises(ValueError, match="has no 'gt_panoptic_seg': .*LoadPanopticGroundTruth.*ann_file"):
        run(build(), [sample(1, pred_instances=instances([], [], np.zeros((0, 4, 4))))], META)
    with pytest.raises(ValueError, match="has no 'pred_instances'"):
        run(build(), [sample(1, gt_panoptic_seg=nuclei(2).gt_panoptic_seg)], META)
    with pytest.raises(ValueError, match='got an image twice'):
        run(build(), [nuclei(2), nuclei(2)], META)


def test_without_the_fast_evaluator(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    assert build().backend == 'pycocotools'
    for options in (dict(metric='boundary'), dict(backend='faster-coco-eval')):
        with pytest.raises(ModuleNotFoundError, match='needs the package faster-coco-eval'):
            build(**options)


def test_masks_are_kept_encoded():
    metric = build()
    metric.dataset_meta = META
    metric.process(None, [nuclei(5).to_dict()])

    def tensors(value):
        if isinstance(value, dict):
            value = list(value.values())
        return any(map(tensors, value)) if isinstance(value, list) else isinstance(value, (torch.Tensor, np.ndarray))

    assert metric.results and not tensors(metric.results)
