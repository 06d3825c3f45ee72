"""The real annotations that the metrics are checked on."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

import mask2former  # noqa: F401  (makes mmdet importable, before the tests import it)

from .instance_results import disturbed, pycocotools_result


@dataclass
class PanopticSplit:
    """A COCO panoptic split: annotation dicts, maps and the metainfo of its classes."""

    annotations: list
    maps: list
    meta: dict
    categories: dict
    folder: str

    @property
    def label_of(self):
        return {category: label for label, category in enumerate(self.meta['category_ids'])}

    def segments(self, place):
        """Return the segments_info of an image in the form of the data sample."""
        return [
            dict(
                id=s['id'],
                label=self.label_of[s['category_id']],
                iscrowd=bool(s['iscrowd']),
                isthing=self.meta['isthing'][self.label_of[s['category_id']]],
            )
            for s in self.annotations[place]['segments_info']
        ]


@pytest.fixture(scope='session')
def coco_val(shared_data):
    root = shared_data / 'coco_panoptic_200' / 'annotations'
    data = json.loads((root / 'panoptic_val2017.json').read_text())
    folder = root / 'panoptic_val2017'
    maps = []
    for annotation in data['annotations']:
        with Image.open(folder / annotation['file_name']) as image:
            rgb = np.asarray(image.convert('RGB')).astype(np.int32)
        maps.append(rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2])
    categories = data['categories']
    meta = dict(
        classes=tuple(c['name'] for c in categories),
        isthing=tuple(bool(c['isthing']) for c in categories),
        category_ids=tuple(c['id'] for c in categories),
    )
    return PanopticSplit(data['annotations'], maps, meta, {c['id']: c for c in categories}, str(folder))


@pytest.fixture(scope='session')
def real(shared_data):
    """Samples and pycocotools' results on the original COCO polygons and crowd RLE of 100 images."""
    ann_file = shared_data / 'coco_panoptic_200' / 'annotations' / 'instances_train2017.json'
    truth = COCO(str(ann_file))
    # Stuff after the things: its labels have no category in the file.
    categories = sorted(truth.cats.values(), key=lambda c: c['name'])
    meta = dict(
        classes=(*(c['name'] for c in categories), 'sky'),
        category_ids=(*(c['id'] for c in categories), 187),
        isthing=(True,) * len(categories) + (False,),
    )
    image_ids = sorted(truth.imgs)
    samples, results = disturbed(truth, image_ids, meta, seed=1)
    expected = {}
    for kind in ('segm', 'bbox'):
        expected.update(pycocotools_result(truth, results, kind, image_ids))
    return str(ann_file), truth, meta, samples, results, expected
