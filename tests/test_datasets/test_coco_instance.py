import json

import cv2
import numpy as np
import pytest

from mask2former.datasets import CocoInstance
from mask2former.errors import DataError
from mask2former.registry import DATASETS


@pytest.fixture
def content():
    square = [[2, 2, 10, 2, 10, 10, 2, 10]]
    return dict(
        images=[dict(id=i, file_name=f'{i}.jpg', height=20, width=30) for i in (1, 2)],
        categories=[dict(id=4, name='cat'), dict(id=2, name='dog')],
        annotations=[
            dict(id=1, image_id=1, category_id=2, segmentation=square, bbox=[2, 2, 8, 8], iscrowd=0),
            dict(id=2, image_id=1, category_id=4, segmentation=dict(size=[20, 30], counts=[5, 9, 586])),
            dict(id=3, image_id=1, category_id=4, segmentation=dict(size=[20, 30], counts=[0, 600]), iscrowd=1),
        ],
    )


@pytest.fixture
def write(tmp_path):

    def write_content(content: dict) -> dict:
        (tmp_path / 'instances.json').write_text(json.dumps(content))
        cv2.imwrite(str(tmp_path / '1.jpg'), np.zeros((20, 30, 3), np.uint8))
        return dict(
            type='CocoInstanceFormat', data_root=str(tmp_path), ann_file='instances.json', data_prefix=dict(img='')
        )

    return write_content


def test_items(content, write):
    dataset = DATASETS.build(write(content))
    assert dataset.metainfo['classes'] == ('cat', 'dog') and dataset.metainfo['isthing'] == (True, True)
    first, second = dataset.get_data_info(0), dataset.get_data_info(1)
    assert (first['img_id'], first['height'], first['width']) == (1, 20, 30)
    found = [(i['label'], i['iscrowd'], i['category_id']) for i in first['instances']]
    assert found == [(1, 0, 2), (0, 0, 4), (0, 1, 4)]
    assert first['instances'][0]['bbox'] == [2, 2, 8, 8] and first['instances'][1]['bbox'] is None
    assert second['instances'] == []
    assert dataset.get_cat_ids(0) == [1, 0]


def test_subset_and_filter(content, write):
    cfg = {**write(content), 'metainfo': dict(classes=('dog',)), 'filter_cfg': dict(filter_empty_gt=True)}
    dataset = DATASETS.build(cfg)
    assert len(dataset) == 1
    assert [i['label'] for i in dataset.get_data_info(0)['instances']] == [0]


@pytest.mark.parametrize(
    'spoil, message',
    [
        (lambda c: c['annotations'][0].update(image_id=8), "instances.json' has image_id 8, which no"),
        (lambda c: c['annotations'][0].update(category_id=8), 'Image 1 in .*instances.json.* category_id 8, which no'),
        (lambda c: c['annotations'][0].pop('segmentation'), "Annotation 1 of image 1 in .* no 'segmentation'"),
        (lambda c: c['annotations'][0].update(segments_info=[]), "panoptic file .* type='CocoPanopticFormat'"),
    ],
)
def test_wrong_annotations(content, write, spoil, message):
    spoil(content)
    with pytest.raises(DataError, match=message):
        DATASETS.build(write(content))


def test_coco_refuses_other_categories(content, write):
    with pytest.raises(DataError, match="4 of .* is 'cat', but CocoInstance has 'motorcycle' there; use type='Coco"):
        DATASETS.build({**write(content), 'type': 'CocoInstance'})


def test_real_data(shared_data):
    dataset = CocoInstance(
        data_root=str(shared_data / 'coco_panoptic_200'), ann_file='annotations/instances_train2017.json'
    )
    assert len(dataset) == 100
    assert sum(len(dataset.get_data_info(i)['instances']) for i in range(100)) == 747
