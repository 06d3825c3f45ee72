"""InstanceAP's boundary AP against its definition on pycocotools, and LVIS AP against the lvis package."""

import copy
import json

import numpy as np
import pytest
from pycocotools import mask as mask_utils
from pycocotools.cocoeval import COCOeval
from scipy.ndimage import binary_erosion

from .instance_results import NAMES, build, close, percent
from .samples import run


class BoundaryEval(COCOeval):
    """pycocotools with the definition of Boundary IoU, eq. 2 and appendix: min(mask IoU, boundary IoU), crowd by mask.

    The boundary is what erosion by a 3 x 3 square takes away, repeated for 2 % of the diagonal; outside is background.
    """

    def boundary(self, rle):
        mask = mask_utils.decode(rle).astype(bool)
        rounds = max(1, int(round(0.02 * float(np.hypot(*mask.shape)))))
        return mask & ~binary_erosion(mask, np.ones((3, 3)), iterations=rounds, border_value=0)

    def computeIoU(self, image_id, category_id):  # noqa: N802
        ious = super().computeIoU(image_id, category_id)
        truth, found = self._gts[image_id, category_id], self._dts[image_id, category_id]
        if len(ious) == 0:
            return ious
        found = sorted(found, key=lambda d: -d['score'])[: self.params.maxDets[-1]]
        for row, detection in enumerate(found):
            of_found = self.boundary(detection['segmentation'])
            for column, annotation in enumerate(truth):
                if not annotation['iscrowd'] and ious[row, column] > 0:
                    of_truth = self.boundary(annotation['segmentation'])
                    share = (of_found & of_truth).sum() / (of_found | of_truth).sum()
                    ious[row, column] = min(ious[row, column], share)
        return ious


def test_boundary_ap_equals_its_definition(real):
    pytest.importorskip('faster_coco_eval')
    ann_file, truth, meta, samples, results, expected = real
    seen = samples[:50]
    ids = [s.img_id for s in seen]
    results = [{**result, 'bbox': None} for result in results if result['image_id'] in ids]
    found = copy.deepcopy(truth)
    found.dataset['annotations'] = [
        dict(result, id=number, iscrowd=0, area=float(mask_utils.area(result['segmentation'])))
        for number, result in enumerate(results, start=1)
    ]
    found.createIndex()
    evaluation = BoundaryEval(truth, found, 'segm')
    evaluation.params.imgIds = ids
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    by_hand = {f'boundary_{name}': percent(value) for name, value in zip(NAMES, evaluation.stats.tolist())}
    assert run(build(ann_file=ann_file, metric='boundary'), seen, meta) == close(by_hand)
    assert 5 < by_hand['boundary_mAP'] < expected['segm_mAP']


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize('kind', ['segm', 'bbox'])
def test_lvis_ap_equals_the_lvis_package(real, tmp_path, monkeypatch, kind):
    """On COCO's annotations with LVIS's fields: a share of the categories of each image was not searched for."""
    pytest.importorskip('faster_coco_eval')
    lvis = pytest.importorskip('lvis')
    monkeypatch.setattr(np, 'float', float, raising=False)  # what the package, of 2020, still calls
    ann_file, truth, meta, samples, results, _ = real
    content = json.loads(open(ann_file).read())
    rng = np.random.default_rng(5)
    ids = [category['id'] for category in content['categories']]
    for category in content['categories']:
        category['frequency'] = 'rcf'[int(rng.integers(3))]
    for image in content['images']:
        present = {a['category_id'] for a in content['annotations'] if a['image_id'] == image['id']}
        others = rng.permutation([i for i in ids if i not in present]).tolist()
        image['neg_category_ids'] = others[:40]
        image['not_exhaustive_category_ids'] = [i for i in sorted(present) if rng.random() < 0.3]
    content['annotations'] = [a for a in content['annotations'] if not a['iscrowd']]  # LVIS has none
    path = tmp_path / 'lvis.json'
    path.write_text(json.dumps(content))

    limit = 12  # such that it matters
    assert (
        max(np.bincount([image for image in np.unique([r['image_id'] for r in results], return_inverse=True)[1]]))
        > limit
    )
    truth = lvis.LVIS(str(path))
    kept = [
        {key: value for key, value in r.items() if key != ('bbox' if kind == 'segm' else 'segmentation')}
        for r in copy.deepcopy(results)
    ]
    evaluation = lvis.LVISEval(truth, lvis.LVISResults(truth, kept, max_dets=limit), kind)
    evaluation.run()
    names = dict(
        mAP='AP',
        mAP_50='AP50',
        mAP_75='AP75',
        mAP_s='APs',
        mAP_m='APm',
        mAP_l='APl',
        mAP_r='APr',
        mAP_c='APc',
        mAP_f='APf',
    )
    expected = {f'{kind}_{ours}': percent(float(evaluation.results[theirs])) for ours, theirs in names.items()}
    result = run(build(ann_file=str(path), lvis=True, max_dets=(limit,), metric=kind), samples, meta)
    assert result == close(expected)
    assert len(set(expected.values())) == 9
    with pytest.raises(ValueError, match='lvis=True needs the annotation file of LVIS'):
        run(build(lvis=True), samples, meta)
    with pytest.raises(ValueError, match="lvis=True needs the package 'faster-coco-eval'"):
        build(lvis=True, backend='pycocotools')
    assert build(lvis=True, ann_file=str(path)).max_dets == (300,)
