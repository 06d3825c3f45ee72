"""Detections made of real objects, and their average precision by pycocotools' own way."""

import copy

import numpy as np
import pytest
from pycocotools import mask as mask_utils
from pycocotools.cocoeval import COCOeval

from mask2former.registry import METRICS

from .samples import instances, sample

NAMES = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


def pycocotools_result(truth, results, kind, image_ids, category_ids=None):
    """Return the summary of pycocotools' own way: loadRes, evaluate, accumulate, summarize ; in percent."""
    results = [
        {key: value for key, value in result.items() if key != ('bbox' if kind == 'segm' else 'segmentation')}
        for result in copy.deepcopy(results)
    ]
    evaluation = COCOeval(truth, truth.loadRes(results), kind)
    evaluation.params.imgIds = image_ids
    if category_ids is not None:
        evaluation.params.catIds = category_ids
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return {f'{kind}_{name}': percent(value) for name, value in zip(NAMES, evaluation.stats.tolist())}


def percent(share):
    return 100 * share if share >= 0 else share


def disturbed(truth, image_ids, meta, seed):
    """Return samples with moved, lost, doubled and misnamed ground truth as predictions, and COCO results of them."""
    rng = np.random.default_rng(seed)
    label_of = {category: label for label, category in enumerate(meta['category_ids'])}
    present = sorted({a['category_id'] for a in truth.anns.values()})
    samples, results = [], []
    for image_id in image_ids:
        image = truth.imgs[image_id]
        masks, labels = [], []
        for annotation in truth.imgToAnns[image_id]:
            for _ in range(rng.choice([0, 1, 1, 2])):
                mask = np.roll(truth.annToMask(annotation), rng.integers(-6, 7, size=2), axis=(0, 1))
                category = annotation['category_id'] if rng.random() < 0.8 else rng.choice(present)
                if mask.any():
                    masks.append(mask)
                    labels.append(label_of[int(category)])
        masks = np.array(masks, dtype=bool).reshape(-1, image['height'], image['width'])
        predicted = instances(labels, rng.random(len(labels)), masks)
        samples.append(sample(image_id, pred_instances=predicted))
        for label, score, mask, box in zip(labels, predicted.scores.tolist(), masks, predicted.bboxes.tolist()):
            results.append(
                dict(
                    image_id=image_id,
                    category_id=meta['category_ids'][label],
                    score=score,
                    segmentation=mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8)),
                    bbox=[box[0], box[1], box[2] - box[0], box[3] - box[1]],
                )
            )
    return samples, results


def build(**options):
    return METRICS.build(dict(type='InstanceAP', **options))


def close(expected):
    return pytest.approx(expected, abs=1e-12)  # the evaluators add in other orders
