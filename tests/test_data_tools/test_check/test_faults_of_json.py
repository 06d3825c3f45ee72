"""Faults of COCO's JSON files: each is planted alone into sound data, found and named."""

import copy
import shutil

import numpy as np
import pytest
from mmengine.config import Config
from pycocotools import mask as mask_utils

from mask2former.data_tools.check import Settings, read_splits
from mask2former.errors import DataError
from mask2former.formats.rle import check_segmentation, run_lengths

from .conftest import kinds


def with_first(change):
    """A change of the first annotation, or of the first segment of a panoptic one."""

    def apply(content):
        annotation = content['annotations'][0]
        change(annotation['segments_info'][0] if 'segments_info' in annotation else annotation)

    return apply


def double(rows, **changes):
    rows.append({**copy.deepcopy(rows[0]), **changes})


def drop(content):
    content['annotations'] = [row for row in content['annotations'] if row['image_id'] != 1]


BOTH_FAULTS = [  # kind, change, what the text says, whether it takes the pixels to find it
    ('unknown category', with_first(lambda s: s.update(category_id=12345)), 'has the category 12345', False),
    ('unknown category', with_first(lambda s: s.update(category_id=[1])), 'has the category [1]', False),
    ('malformed box', with_first(lambda s: s.update(bbox=[1, 2, 3])), '[1, 2, 3]', False),
    ('malformed box', with_first(lambda s: s.update(bbox=[1, 2, 3, float('nan')])), 'nan', False),
    ('empty box', with_first(lambda s: s.update(bbox=[4, 4, 0, 9])), 'has the box [4, 4, 0, 9]', False),
    ('wrong box', with_first(lambda s: s['bbox'].__setitem__(2, s['bbox'][2] - 2)), 'its mask', True),
    ('no annotation', drop, 'has no annotation', False),
    ('no such image', lambda c: double(c['annotations'], image_id=4711), 'image_id is no image', False),
    ('image id twice', lambda c: double(c['images'], file_name='other.jpg'), 'other.jpg has the id', False),
    ('malformed entry', lambda c: c['images'].append(dict(id=5000, file_name='a.png')), 'lacks height, width', False),
    ('malformed entry', lambda c: c['images'].append(7), 'entries that are no objects', False),
    ('malformed entry', lambda c: c['annotations'].append('x'), 'entries that are no objects', False),
    ('category id twice', lambda c: double(c['categories'], name='other'), 'categories have the id', False),
    ('category name twice', lambda c: double(c['categories'], id=999), 'categories have the name', False),
]


@pytest.mark.parametrize('form', ['panoptic', 'instance'])
@pytest.mark.parametrize('kind, change, text, by_pixels', BOTH_FAULTS)
def test_a_fault_of_both_formats(data, form, kind, change, text, by_pixels):
    data.edit(change, 'panoptic' if form == 'panoptic' else 'instances')
    for headers_only in (True, False):
        [split] = data.check(form, headers_only=headers_only, splits=('train',)).splits
        found = kinds(split)
        if kind == 'category name twice':
            assert found.pop('class without segment') == 1  # the second category of the name
        assert found == ({} if by_pixels and headers_only else {kind: 1})
        assert all(text in problem.text for problem in split.problems if problem.kind == kind)


@pytest.mark.parametrize('form', ['panoptic', 'instance'])
def test_boxes_outside(data, form):
    data.edit(with_first(lambda s: s.update(bbox=[90, 10, 30, 5])), 'panoptic' if form == 'panoptic' else 'instances')
    assert kinds(data.check(form, headers_only=True).splits[0]) == {'box outside': 1}
    assert kinds(data.check(form).splits[0]) == {'box outside': 1, 'wrong box': 1}


def test_a_box_may_differ_by_a_pixel(data):
    data.edit(with_first(lambda s: s['bbox'].__setitem__(0, s['bbox'][0] - 0.9)))
    assert not kinds(data.check('panoptic').splits[0])


def first_segments(content):
    return content['annotations'][0]['segments_info']


PANOPTIC_FAULTS = [
    ('id not in PNG', lambda c: double(first_segments(c), id=99999, bbox=None), 'segment 99999 has no pixel', True),
    ('id not in JSON', lambda c: first_segments(c).pop(), 'has ids which no segment has', True),
    ('wrong area', lambda c: first_segments(c)[0].update(area=first_segments(c)[0]['area'] + 1), 'pixels, the', True),
    ('segment id twice', lambda c: double(first_segments(c)), 'is listed twice', False),
    ('segment id 0', lambda c: double(first_segments(c), id=0), 'which is void', False),
    ('area 0', lambda c: double(first_segments(c), id=99999, area=0), 'has the area 0', False),
    ('two annotations', lambda c: double(c['annotations']), 'into one annotation', False),
    ('malformed entry', lambda c: first_segments(c).append(3), 'that are no objects', False),
]


@pytest.mark.parametrize('kind, change, text, by_pixels', PANOPTIC_FAULTS)
def test_a_fault_of_a_panoptic_file(data, kind, change, text, by_pixels):
    data.edit(change)
    for headers_only in (True, False):
        [split] = data.check('panoptic', headers_only=headers_only, splits=('train',)).splits
        assert kinds(split) == ({} if by_pixels and headers_only else {kind: 1})
        assert all(text in problem.text for problem in split.problems if problem.kind == kind)


def first_polygons(content):
    """Give the first annotation polygons of its mask's box, with the area and box of these."""
    annotation = content['annotations'][0]
    x, y, width, height = annotation['bbox']
    annotation['segmentation'] = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    annotation['area'] = width * height
    return annotation['segmentation']


def rle(counts, size=(64, 96)):
    return with_first(lambda segment: segment.update(segmentation=dict(size=list(size), counts=counts)))


INSTANCE_FAULTS = [
    ('no segmentation', with_first(lambda s: s.update(segmentation=[])), "has no 'segmentation'", False),
    ('empty mask', rle([64 * 96]), 'no pixel', True),
    ('empty mask', with_first(lambda s: s.update(segmentation=[[1, 1, 1, 1, 1, 1]])), 'no pixel', True),
    ('wrong mask size', rle([4, 12], (4, 4)), '[4, 4]', True),
    ('malformed entry', rle([4, 12]), 'do not make 64 x 96', True),
    ('malformed entry', rle('0'), 'do not make 64 x 96', True),
    ('malformed entry', with_first(lambda s: s.update(segmentation='x')), 'Error', True),
    ('malformed entry', with_first(lambda s: s.update(segmentation=[[1, 2, 3, 4, 5, float('inf')]])), 'values', True),
    ('malformed entry', with_first(lambda s: s.update(segmentation=[[1, 2, 3, 4, 5, 1e12]])), 'coordinates', True),
    ('wrong area', with_first(lambda s: s.update(area=s['area'] + 1)), 'pixels, the JSON file says', True),
    ('wrong area', lambda c: (first_polygons(c), with_first(lambda s: s.update(area=3 * s['area']))(c)), 'says', True),
    ('bad polygon', lambda c: first_polygons(c).insert(0, [1, 1, 2, 2]), 'a polygon of 4 numbers', False),
    ('area 0', with_first(lambda s: s.update(area=0)), 'has the area 0', False),
]


@pytest.mark.parametrize('kind, change, text, by_pixels', INSTANCE_FAULTS)
def test_a_fault_of_an_instance_file(data, kind, change, text, by_pixels):
    data.edit(change, 'instances')
    for headers_only in (True, False):
        [split] = data.check('instance', headers_only=headers_only, splits=('train',)).splits
        found = kinds(split)
        if kind == 'area 0':
            found.pop('wrong area', None)
        assert found == ({} if by_pixels and headers_only else {kind: 1})
        assert all(text in problem.text for problem in split.problems if problem.kind == kind)


def test_polygons_of_their_own_box_and_area_are_sound(data):
    data.edit(first_polygons, 'instances')
    assert not kinds(data.check('instance').splits[0])


def config_of(data, form='panoptic', **changes):
    kind = 'panoptic' if form == 'panoptic' else 'instances'
    parts = {}
    for split in ('train', 'val'):
        prefix = dict(img=f'{split}/', **(dict(seg=f'annotations/panoptic_{split}/') if form == 'panoptic' else {}))
        parts[f'{split}_dataloader'] = dict(
            dataset=dict(
                type=f'mask2former.Coco{"Panoptic" if form == "panoptic" else "Instance"}Format',
                ann_file=f'annotations/{kind}_{split}.json',
                data_root=str(data.root),
                data_prefix=prefix,
                pipeline=[
                    dict(type='LoadImage', color_type='color_ignore_orientation'),
                    dict(type='LargeScaleJitter', crop_size=(48, 32)),
                ],
            )
        )
    return Config(dict(model=dict(head=dict(num_queries=3)), **{**parts, **changes}))


def test_categories_without_isthing_are_reported_although_the_data_set_refuses_them(data):
    data.edit(lambda content: [row.pop('isthing') for row in content['categories'][:2]])
    with pytest.raises(DataError, match="no 'isthing'"):
        data.dataset('panoptic')
    [source] = read_splits(config_of(data), 'train')
    assert {problem.kind for problem in source.problems} == {'isthing missing'} and len(source.problems) == 2
    assert len(source.entries) == 8 and source.entries[1].map_path.startswith(str(data.root))


def test_malformed_categories_are_reported_although_the_data_set_refuses_them(data):
    data.edit(lambda content: content['categories'].append(dict(id=77)), 'instances')
    with pytest.raises(DataError, match="needs an 'id' and a 'name'"):
        data.dataset('instance')
    [source] = read_splits(config_of(data, 'instance'), 'train')
    assert [problem.kind for problem in source.problems] == ['malformed category']


def test_classes_that_the_metainfo_names_wrongly(data):
    cfg = config_of(data)
    cfg.train_dataloader.dataset.metainfo = dict(classes=('disk', 'nothing'))
    [source] = read_splits(cfg, 'train')
    assert [problem.kind for problem in source.problems] == ['classes unusable']
    assert "Class 'disk' of metainfo is not a category" in source.problems[0].text


def test_what_is_read_from_the_config(data):
    cfg = config_of(data)
    [source] = read_splits(cfg, 'train')
    assert source.settings == Settings('train', 1, 'train_dataloader.dataset', 3, (48, 32), turns=False)
    inner = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[dict(type='RepeatDataset', times=2, dataset=inner), cfg.val_dataloader.dataset]
    )
    first, second = read_splits(cfg, 'train')
    assert (first.name, second.name, second.settings.split) == ('train', 'train_2', 'train')
    assert first.settings.key == 'train_dataloader.dataset.datasets.0.dataset'
    cfg.merge_from_dict({f'{first.settings.key}.ann_file': 'annotations/panoptic_val.json'})
    assert len(read_splits(cfg, 'train')[0].entries) == 3
    assert len(first.entries) == 8 and len(second.entries) == 3
    with pytest.raises(DataError, match='has no test_dataloader'):
        read_splits(cfg, 'test')


@pytest.mark.parametrize('form', ['panoptic', 'instance'])
def test_categories_of_train_and_val_that_differ(data, form):
    kind = 'panoptic' if form == 'panoptic' else 'instances'
    data.edit(lambda content: content['categories'].reverse(), kind, 'val')
    [train, val] = data.check(form).splits
    assert not kinds(train) and kinds(val) == {'classes differ': 1}
    [text] = [problem.text for problem in val.problems if problem.kind == 'classes differ']
    assert 'at index 0' in text and 'metainfo' in text


def test_category_ids_that_differ(data):
    def change(content):
        content['categories'][0]['id'] += 100
        for annotation in content['annotations']:
            annotation['category_id'] += 100 * (annotation['category_id'] + 100 == content['categories'][0]['id'])

    data.edit(change, 'instances', 'val')
    [train, val] = data.check('instance').splits
    assert not kinds(train) and kinds(val) == {'category ids differ': 1}


def test_a_thing_that_is_stuff_in_the_val_set(data):
    data.edit(
        lambda content: content['categories'][0].update(isthing=1 - content['categories'][0]['isthing']), split='val'
    )
    assert kinds(data.check('panoptic').splits[1]) == {'classes differ': 1}


def test_more_segments_than_queries(data):
    [split, _] = data.check('panoptic', headers_only=True, num_queries=3).splits
    loads = {annotation['image_id']: len(annotation['segments_info']) for annotation in split.source.raw['annotations']}
    over = {image: load for image, load in loads.items() if load > 3}
    assert over and kinds(split) == {'more segments than queries': len(over)}
    texts = [problem.text for problem in split.problems if problem.kind == 'more segments than queries']
    assert f'has {max(over.values())} segments, the model 3 queries' in texts[0]
    enough = data.check('panoptic', headers_only=True, num_queries=max(loads.values()), splits=('train',))
    assert not kinds(enough.splits[0])


@pytest.mark.parametrize('form', ['panoptic', 'instance', 'semantic'])
def test_sets_without_annotations(data, form):
    """Of a test set nothing but the images need be there."""
    data.edit(lambda content: content.pop('annotations'), 'panoptic' if form == 'panoptic' else 'instances')
    shutil.rmtree(data.root / 'semantic_train')
    [split] = data.check(form, splits=('train',), test_mode=True).splits
    assert not split.problems and len(split.image_reports) == 8
    if form != 'semantic':
        found = kinds(data.check(form, splits=('train',)).splits[0])
        assert found == {'malformed entry': 1, 'no annotation': 8, 'nothing to learn': 1}


@pytest.mark.parametrize('share', [0, 0.01, 0.5, 1])
def test_runs_of_compressed_codes(share):
    rng = np.random.default_rng(0)
    for height, width in ((1, 1), (7, 300), (200, 180)):
        mask = np.asfortranarray(rng.random((height, width)) < share).astype(np.uint8, order='F')
        flat = mask.ravel(order='F')
        ends = np.concatenate([np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
        expected = ([0] if flat[0] else []) + np.diff(ends, prepend=0).tolist()  # the first run is of zeros
        code = mask_utils.encode(mask)['counts']
        assert run_lengths(code).tolist() == expected
        assert run_lengths(code.decode()).tolist() == expected
        for changed in (code[:-1], code + b'1', b'', b'~', b'P' * 20, code + b'o' * 9 + b'0'):
            with pytest.raises(ValueError, match='its RLE'):
                check_segmentation(dict(size=[height, width], counts=changed), height, width)
