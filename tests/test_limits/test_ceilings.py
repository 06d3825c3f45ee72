"""Ceilings against panopticapi and pycocotools on the truth, cut down as the limits say."""

import copy
import itertools
import json
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from PIL import Image
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mask2former.errors import ConfigError
from mask2former.formats.panoptic_png import read_id_map
from mask2former.limits.bounds import best_pq, class_pq
from mask2former.limits.ceilings import find_ceilings
from mask2former.limits.oracle import DOUBT, SURE
from mask2former.models.postprocess import plain
from tests.tiny import ROOT, write_config

panopticapi = pytest.importorskip('panopticapi.evaluation')
QUERIES = 2


class Truth:
    """The panoptic validation set of a folder, read without this package's data sets."""

    def __init__(self, root):
        content = json.loads((root / 'annotations' / 'panoptic_val.json').read_text())
        self.root = root
        self.categories = {category['id']: category for category in content['categories']}
        self.isthing = [bool(category['isthing']) for category in content['categories']]
        label_of = {id_: label for label, id_ in enumerate(self.categories)}
        self.images = []  # of each: id, annotation, map (H, W), [(label, id), ...] the largest first
        for annotation in content['annotations']:
            id_map = read_id_map(root / 'annotations' / 'panoptic_val' / annotation['file_name'])
            segments = sorted(annotation['segments_info'], key=lambda segment: -(id_map == segment['id']).sum())
            self.images.append(
                (annotation, id_map, [(label_of[segment['category_id']], segment['id']) for segment in segments])
            )

    def counts(self):
        return np.array(
            [np.bincount([label for label, _ in rows], minlength=len(self.isthing)) for *_, rows in self.images]
        )

    def panoptic_quality(self, folder, predictions):
        """PQ by panopticapi of maps (H, W) with (label, id) of each segment, an image after the other."""
        folder.mkdir(exist_ok=True)
        pairs = []
        for (annotation, *_), (id_map, rows) in zip(self.images, predictions):
            ids = id_map.astype(np.uint32)
            rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
            Image.fromarray(rgb).save(folder / annotation['file_name'])
            categories = list(self.categories)
            info = [dict(id=id_, category_id=categories[label]) for label, id_ in rows if (id_map == id_).any()]
            pairs.append((annotation, dict(annotation, segments_info=info)))
        stat = panopticapi.pq_compute_single_core(
            0, pairs, str(self.root / 'annotations' / 'panoptic_val'), str(folder), self.categories
        )
        return 100 * stat.pq_average(self.categories, isthing=None)[0]['pq']

    def low_resolution(self, id_map, rows, size):
        """Class logits and mask logits at the original size, by pooling and interpolation."""
        masks = torch.from_numpy(np.stack([id_map == id_ for _, id_ in rows])).float()
        logits = SURE * (2 * F.avg_pool2d(masks[None], 4) - 1)
        scores = 1 - DOUBT * torch.arange(len(rows)) / len(rows)
        classes = torch.full((len(rows), len(self.isthing) + 1), -torch.inf)
        for index, (label, _) in enumerate(rows):
            classes[index, label], classes[index, -1] = scores[index].log(), torch.log1p(-scores[index])
        return classes, F.interpolate(logits, size=size, mode='bilinear')[0]


@pytest.fixture(scope='module')
def truth(shapes):
    return Truth(shapes)


@pytest.fixture(scope='module')
def config(shapes, tmp_path_factory):
    """A config with few queries, few detections and the usual stride."""
    cfg = Config.fromfile(write_config(tmp_path_factory.mktemp('config'), shapes))
    cfg.model.head.num_queries = QUERIES
    cfg.model.postprocessors.instance.max_per_image = 1
    cfg.val_evaluator[1].update(max_dets=(1,), metric='segm')
    return cfg


@pytest.fixture(scope='module')
def found(config):
    return find_ceilings(config)


def test_the_truth_itself_is_perfect(found):
    assert found['PanopticQuality']['no limit']['PQ'] == 100
    assert found['SemanticIoU']['no limit']['mIoU'] == 100
    assert found['InstanceAP']['no limit']['segm_mAP'] == pytest.approx(100)


def test_each_limit_alone_and_all_together(found):
    assert list(found['PanopticQuality']) == ['no limit', 'num_queries=2', 'stride=4', 'all limits']
    names = ['no limit', 'num_queries=2', 'max_per_image=1', 'max_dets=1', 'stride=4', 'all limits']
    assert list(found['InstanceAP']) == names
    for metric, key in (('PanopticQuality', 'PQ'), ('InstanceAP', 'segm_mAP'), ('SemanticIoU', 'mIoU')):
        values = {name: values[key] for name, values in found[metric].items()}
        assert values['all limits'] <= min(values.values()) + 1e-9
        assert values['num_queries=2'] < values['no limit'] and values['stride=4'] < values['no limit']


def test_queries_cap_pq_as_panopticapi_has_it(config, truth, tmp_path):
    """The best of all ways to cut the truth of three images down to two segments each."""
    truth = copy.copy(truth)
    truth.images = truth.images[:3]
    counts = truth.counts()
    assert (counts.sum(axis=1) > QUERIES).all()
    totals = counts.sum(axis=0)
    # Of each image, pairs of segments with other classes than any pair before.
    kinds = [
        {tuple(sorted(label for label, _ in pair)): pair for pair in itertools.combinations(rows, QUERIES)}
        for *_, rows in truth.images
    ]
    best = max(
        itertools.product(*kinds),
        key=lambda ways: best_pq(totals, totals - np.bincount(np.concatenate(ways), minlength=len(totals))),
    )
    predictions = []
    for (_, id_map, _), kind, way in zip(truth.images, kinds, best):
        rows = kind[way]
        predictions.append((np.where(np.isin(id_map, [id_ for _, id_ in rows]), id_map, 0), rows))
    expected = truth.panoptic_quality(tmp_path / 'cut', predictions)
    found = find_ceilings(config, images=3)
    assert found['PanopticQuality']['num_queries=2']['PQ'] == pytest.approx(expected, abs=1e-6)


def test_the_stride_caps_pq_as_plain_postprocessing_has_it(found, truth, tmp_path):
    predictions = []
    for _, id_map, rows in truth.images:
        classes, logits = truth.low_resolution(id_map, rows, id_map.shape)
        fused, segments = plain.panoptic_fusion(classes, logits, truth.isthing, 0.0, 0.1)
        predictions.append((fused.numpy(), [(segment['label'], segment['id']) for segment in segments]))
    expected = truth.panoptic_quality(tmp_path / 'pooled', predictions)
    assert found['PanopticQuality']['stride=4']['PQ'] == pytest.approx(expected, abs=1e-3)


def average_precision(truth, objects, max_dets):
    """mAP in percent by pycocotools of (image id, category id, score, mask) of each object."""
    coco = COCO(str(truth.root / 'annotations' / 'instances_val.json'))
    rows = [
        dict(image_id=image, category_id=category, score=score, segmentation=mask_utils.encode(np.asfortranarray(mask)))
        for image, category, score, mask in objects
    ]
    evaluation = COCOeval(coco, coco.loadRes(rows), 'segm')
    evaluation.params.maxDets = [max_dets]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval['precision'][:, :, :, 0, -1]
    return 100 * float(precision[precision > -1].mean())


@pytest.mark.parametrize(('name', 'per_image', 'per_class'), [
    ('num_queries=2', 2, 100), ('max_per_image=1', 1, 100), ('max_dets=1', 100, 1),
])  # fmt: skip
def test_counts_cap_ap_as_pycocotools_has_it(found, truth, name, per_image, per_class):
    """Of each image the objects of the rarest classes are kept, by a plain sort."""
    coco = COCO(str(truth.root / 'annotations' / 'instances_val.json'))
    totals = {category: len(coco.getAnnIds(catIds=[category])) for category in coco.getCatIds()}
    objects = []
    for image in coco.getImgIds():
        annotations = sorted(coco.imgToAnns[image], key=lambda annotation: totals[annotation['category_id']])
        objects += [(image, row['category_id'], 0.9, coco.annToMask(row)) for row in annotations[:per_image]]
    expected = average_precision(truth, objects, per_class)
    assert found['InstanceAP'][name]['segm_mAP'] == pytest.approx(expected, abs=1e-7)


def test_the_stride_caps_ap_as_plain_postprocessing_has_it(found, truth):
    coco = COCO(str(truth.root / 'annotations' / 'instances_val.json'))
    names = {category['name']: id_ for id_, category in coco.cats.items()}
    category_of = [names.get(category['name']) for category in truth.categories.values()]
    objects = []
    for annotation, id_map, rows in truth.images:
        things = [row for row in rows if truth.isthing[row[0]]]
        if things:
            classes, logits = truth.low_resolution(id_map, things, id_map.shape)
            for label, score, mask in plain.instance_top_k(classes, logits, truth.isthing, len(things)):
                objects.append((annotation['image_id'], category_of[label], score, mask.numpy().astype(np.uint8)))
    expected = average_precision(truth, objects, 100)
    assert found['InstanceAP']['stride=4']['segm_mAP'] == pytest.approx(expected, abs=1e-6)


def test_the_stride_caps_miou_as_plain_postprocessing_has_it(found, truth):
    shared, either = np.zeros((2, len(truth.isthing)))
    for _, id_map, rows in truth.images:
        labels = np.full(id_map.shape, -1)
        for label, id_ in rows:
            labels[id_map == id_] = label
        merged = [(label, label) for label in np.unique(labels[labels >= 0]).tolist()]
        merged.sort(key=lambda row: -(labels == row[0]).sum())
        classes, logits = truth.low_resolution(labels, merged, id_map.shape)
        predicted = plain.semantic_inference(classes, logits).numpy()
        for label in range(len(truth.isthing)):
            there, said = labels == label, (predicted == label) & (labels >= 0)
            shared[label] += (there & said).sum()
            either[label] += (there | said).sum()
    expected = 100 * float((shared / np.maximum(either, 1))[truth.counts().sum(axis=0) > 0].mean())
    assert found['SemanticIoU']['stride=4']['mIoU'] == pytest.approx(expected, abs=1e-3)


def test_metrics_whose_truth_is_not_known(config):
    cfg = copy.deepcopy(config)
    cfg.val_evaluator = [dict(type='DumpSegResults', out_file_path='x.pkl')]
    with pytest.raises(ConfigError, match='no metric of this package'):
        find_ceilings(cfg)


def test_queries_on_real_data_cap_pq_as_panopticapi_has_it(shared_data, tmp_path):
    root = shared_data / 'coco_panoptic_200'
    cfg = Config.fromfile(ROOT / 'configs' / 'coco' / 'panoptic' / 'mask2former_r50_8xb2-lsj-50e_coco-panoptic.py')
    cfg.val_dataloader.dataset.data_root = f'{root}/'
    cfg.val_evaluator = [dict(type='PanopticQuality')]
    cfg.model.head.num_queries = 8
    found = find_ceilings(cfg, images=6)['PanopticQuality']

    content = json.loads((root / 'annotations' / 'panoptic_val2017.json').read_text())
    annotations = {annotation['image_id']: annotation for annotation in content['annotations']}
    annotations = [annotations[image['id']] for image in content['images'][:6]]
    categories = {category['id']: category for category in content['categories']}
    rows = [
        [segment for segment in annotation['segments_info'] if not segment['iscrowd']] for annotation in annotations
    ]
    totals = Counter(segment['category_id'] for row in rows for segment in row)
    # What is missed is of the class that loses least: found one by one over all images.
    missed, kept = Counter(), [list(row) for row in rows]

    def loss(category):
        return class_pq(totals[category], missed[category]) - class_pq(totals[category], missed[category] + 1)

    while True:
        free = {segment['category_id'] for row in kept if len(row) > 8 for segment in row}
        if not free:
            break
        worst = min(free, key=loss)
        row = next(row for row in kept if len(row) > 8 and any(s['category_id'] == worst for s in row))
        row.remove(min((s for s in row if s['category_id'] == worst), key=lambda segment: segment['area']))
        missed[worst] += 1
    assert missed.total() > 5
    folder = root / 'annotations' / 'panoptic_val2017'
    pairs = []
    for annotation, row in zip(annotations, kept):
        colors = np.array(Image.open(folder / annotation['file_name']).convert('RGB'))
        ids = colors.astype(np.int64) @ [1, 256, 65536]
        colors[~np.isin(ids, [segment['id'] for segment in row])] = 0
        Image.fromarray(colors).save(tmp_path / annotation['file_name'])
        pairs.append((annotation, dict(annotation, segments_info=row)))
    stat = panopticapi.pq_compute_single_core(0, pairs, str(folder), str(tmp_path), categories)
    expected = 100 * stat.pq_average(categories, isthing=None)[0]['pq']
    assert found['num_queries=8']['PQ'] == pytest.approx(expected, abs=1e-6)
    assert found['no limit']['PQ'] == 100 and 90 < found['stride=4']['PQ'] < 100
