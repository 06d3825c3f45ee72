import json

import numpy as np
import pytest

from mask2former.datasets import CocoPanoptic, CocoPanopticFormat
from mask2former.errors import DataError
from mask2former.registry import DATASETS


def test_items(two_images):
    dataset = DATASETS.build(two_images.write())
    assert isinstance(dataset, CocoPanopticFormat) and len(dataset) == 2
    item = dataset.get_data_info(0)
    assert item['img_path'].endswith('img/10.png') and item['seg_map_path'].endswith('png/10.png')
    assert (item['img_id'], item['height'], item['width']) == (10, 24, 32)
    assert item['segments_info'] == [
        dict(id=70000, label=0, isthing=True, iscrowd=0, category_id=7),
        dict(id=5, label=1, isthing=False, iscrowd=0, category_id=3),
        dict(id=300, label=2, isthing=True, iscrowd=1, category_id=9),
    ]
    empty = dataset.get_data_info(1)
    assert empty['segments_info'] == [] and 'seg_map_path' not in empty
    assert dataset.get_cat_ids(0) == [0, 1]  # crowd left out


def test_left_out_categories_become_void(two_images):
    dataset = DATASETS.build({**two_images.write(), 'metainfo': dict(classes=('grass',))})
    item = dataset.get_data_info(0)
    assert [(s['id'], s['label']) for s in item['segments_info']] == [(5, 0)]
    assert sorted(item['void_ids']) == [300, 70000]


def test_filter_empty(two_images):
    cfg = {**two_images.write(), 'filter_cfg': dict(filter_empty_gt=True)}
    assert len(DATASETS.build(cfg)) == 1
    assert len(DATASETS.build({**cfg, 'test_mode': True})) == 2
    with pytest.raises(DataError, match='No image of .*panoptic.json'):
        DATASETS.build({**cfg, 'metainfo': dict(classes=('dog',))})  # only a crowd of dogs is there


def test_indices_lazy_and_subset(two_images):
    cfg = two_images.write()
    assert len(DATASETS.build({**cfg, 'indices': 1})) == 1
    assert len(DATASETS.build({**cfg, 'serialize_data': False}).get_subset([1])) == 1
    lazy = DATASETS.build({**cfg, 'lazy_init': True})
    assert lazy.metainfo['classes'] == ('cat', 'grass', 'dog')
    lazy.full_init()
    assert len(lazy) == 2


def test_test_set_without_annotations(two_images):
    del two_images.content['annotations']
    cfg = two_images.write()
    assert len(DATASETS.build({**cfg, 'test_mode': True})) == 2
    with pytest.raises(DataError, match="panoptic.json' has no 'annotations'"):
        DATASETS.build(cfg)


def _first(content):
    return content['annotations'][0]['segments_info'][0]


@pytest.mark.parametrize(
    'spoil, message',
    [
        (lambda c: c['annotations'][0].update(image_id=99), r"panoptic.json' has image_id 99, which no"),
        (lambda c: _first(c).update(category_id=42), r'Image 10 in .*panoptic.json.* category_id 42, which no'),
        (lambda c: _first(c).pop('category_id'), 'Image 10 in .* category_id None'),
        (lambda c: _first(c).update(id=5), 'Image 10 .* segment whose id is 5'),
        (lambda c: _first(c).update(id=0), 'Image 10 .* segment whose id is 0'),
        (lambda c: c['annotations'].append(c['annotations'][0]), 'Image 10 .* two annotations'),
        (lambda c: c['annotations'][0].pop('segments_info'), "image 10 .* type='CocoInstanceFormat'"),
        (lambda c: c['images'][1].update(id=10), 'Image id 10 occurs twice'),
        (lambda c: c['images'][1].pop('height'), "has no 'height'"),
        (lambda c: c.pop('images'), "has no 'images'"),
        (lambda c: c['annotations'][0].update(segments_info=None), "'NoneType' object is not iterable.*correct it: {"),
        (lambda c: c['annotations'][0].update(segments_info=[None]), 'An entry of .*panoptic.json. is malformed'),
        (lambda c: c['annotations'][0].update(file_name=5), "'file_name' of the annotation of image 10 in .* is 5;"),
        (lambda c: c['annotations'].append(None), 'An entry of .* is malformed .*: None'),
        (lambda c: c['images'].append(None), 'An entry of .* is malformed .*: None'),
        (lambda c: c['images'][0].update(file_name=None), "'file_name' of image 10 in .* is None;"),
        (lambda c: c['images'][0].update(id=[1]), 'An entry of .* is malformed .*unhashable'),
        (lambda c: c['categories'].append(None), 'Category None in .*panoptic.json. needs an'),
        (lambda c: _first(c).update(category_id=[1]), 'An entry of .* is malformed .*unhashable'),
        (lambda c: _first(c).update(iscrowd='yes'), "'iscrowd' of a segment of image 10 in .* is 'yes'; write 1 or 0"),
    ],
)
def test_wrong_annotations(two_images, spoil, message):
    spoil(two_images.content)
    with pytest.raises(DataError, match=message):
        DATASETS.build(two_images.write())


def test_wrong_arguments(two_images):
    cfg = two_images.write()
    with pytest.raises(DataError, match="no data_prefix 'sge'; did you mean 'seg'"):
        DATASETS.build({**cfg, 'data_prefix': dict(img='img/', sge='png/')})
    with pytest.raises(DataError, match="no filter_cfg 'filter_empty'; did you mean 'filter_empty_gt'"):
        DATASETS.build({**cfg, 'filter_cfg': dict(filter_empty=True)})
    with pytest.raises(TypeError, match='data_rot'):
        DATASETS.build({**cfg, 'data_rot': ''})
    with pytest.raises(FileNotFoundError, match='absent.json'):
        DATASETS.build({**cfg, 'ann_file': 'absent.json'})


def test_coco_refuses_other_categories(two_images):
    with pytest.raises(DataError, match="7 of .* is 'cat', but CocoPanoptic has 'train' there; use type='Coco"):
        DATASETS.build({**two_images.write(), 'type': 'CocoPanoptic'})


def test_real_data(shared_data):
    dataset = CocoPanoptic(
        data_root=str(shared_data / 'coco_panoptic_200'),
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
    )
    assert len(dataset) == 100
    assert sum(len(dataset.get_data_info(i)['segments_info']) for i in range(100)) == 1078
    assert sum(s['iscrowd'] for i in range(100) for s in dataset.get_data_info(i)['segments_info']) == 5


def test_the_table_has_the_segments_of_the_items(shapes):
    options = dict(
        data_root=str(shapes),
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img='train/', seg='annotations/panoptic_train/'),
    )
    content = json.loads((shapes / 'annotations' / 'panoptic_train.json').read_text())
    areas = {
        (row['image_id'], info['id']): info['area'] for row in content['annotations'] for info in row['segments_info']
    }
    for indices in (None, 3, -2, [5, 1]):
        dataset = CocoPanopticFormat(**options, indices=indices)
        table = dataset.segment_table
        items = [dataset.get_data_info(index) for index in range(len(dataset))]
        assert [tuple(size) for size in table.sizes.tolist()] == [(item['height'], item['width']) for item in items]
        expected = sorted(
            (row, info['label'], areas[item['img_id'], info['id']])
            for row, item in enumerate(items)
            for info in item['segments_info']
        )
        assert sorted(zip(table.image.tolist(), table.label.tolist(), table.area.tolist())) == expected
        assert not np.isnan(table.box).any()
