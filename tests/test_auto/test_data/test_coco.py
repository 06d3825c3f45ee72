import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mask2former.auto.data import recognise
from mask2former.errors import DataError
from mask2former.registry import DATASETS

from .kit import IDS, SIZE, THINGS, both, box_mask, by_class, masks_of, picture, prepared, same, save, truth, write

CATEGORIES = [dict(id=class_id, name=name) for name, class_id in IDS.items()]


def instances(names, folder='', categories=CATEGORIES, **more):
    images = [
        dict(id=i, file_name=f'{folder}{name}.png', height=SIZE[0], width=SIZE[1]) for i, name in enumerate(names)
    ]
    ids = {category['name']: category['id'] for category in categories}
    annotations = []
    for image, name in zip(images, names):
        for label, (left, top, right, bottom) in THINGS[name]:
            polygon = [left, top, right, top, right, bottom, left, bottom]
            annotations.append(
                dict(id=len(annotations) + 1, image_id=image['id'], category_id=ids[label], segmentation=[polygon],
                     bbox=[left, top, right - left, bottom - top], area=1, iscrowd=0)
            )  # fmt: skip
    return dict(images=images, annotations=annotations, categories=categories, **more)


def panoptic(folder, names, png_folder):
    images, annotations = [], []
    for number, name in enumerate(names):
        images.append(dict(id=number, file_name=f'{name}.png', height=SIZE[0], width=SIZE[1]))
        id_map, infos = np.full(SIZE, 70_000), [dict(id=70_000, category_id=9)]
        for place, (label, box) in enumerate(THINGS[name], 1):
            id_map[box_mask(box)] = 1000 * place
            infos.append(dict(id=1000 * place, category_id=IDS[label], iscrowd=0))
        infos = [info for info in infos if (id_map == info['id']).any()]
        save(
            folder / png_folder / f'{name}.png', np.stack([id_map >> s & 255 for s in (0, 8, 16)], -1).astype(np.uint8)
        )
        annotations.append(dict(image_id=number, file_name=f'{name}.png', segments_info=infos))
    categories = [*({**c, 'isthing': 1} for c in CATEGORIES), dict(id=9, name='floor', isthing=0)]
    return dict(images=images, annotations=annotations, categories=categories)


def test_panoptic_in_place(tmp_path):
    for split, names in (('train', 'abc'), ('val', 'de')):
        for name in names:
            picture(tmp_path / 'in' / f'{split}2017' / f'{name}.png')
        write(tmp_path / f'in/annotations/panoptic_{split}2017.json',
              panoptic(tmp_path / 'in', names, f'annotations/panoptic_{split}2017'))  # fmt: skip
    picture(tmp_path / 'in/test2017/z.png')
    result = prepared(tmp_path / 'in', tmp_path / 'out')
    assert result.task == 'panoptic' and not (tmp_path / 'out').exists()
    assert result.train['ann_file'] == 'annotations/panoptic_train2017.json'
    assert same(masks_of(result.train), truth('abc', 'floor')) and same(masks_of(result.val), truth('de', 'floor'))
    assert any('1 image of test without annotations' in line for line in result.says), result.says


@pytest.mark.parametrize('task', ['panoptic', 'instance', 'semantic'])
def test_panoptic_of_one_file(tmp_path, task):
    for name in THINGS:
        picture(tmp_path / 'in/images' / f'{name}.png')
    write(tmp_path / 'in/panoptic.json', panoptic(tmp_path / 'in', THINGS, 'panoptic'))
    result = prepared(tmp_path / 'in', tmp_path / 'out', task=task)
    found = both(result)
    assert len(masks_of(result.val)) == 1
    if task == 'semantic':
        for name, rows in truth(background='floor').items():
            assert same({name: found[name]}, {name: by_class(rows)})
    else:
        assert same(found, truth(background='floor' if task == 'panoptic' else None))


def layout_roboflow(root):
    # The name of the project is a category, too, and there are two images that nobody annotated.
    categories = [dict(id=0, name='pets', supercategory='none'), *({**c, 'supercategory': 'pets'} for c in CATEGORIES)]
    for split, names in (('train', 'abc'), ('valid', 'd'), ('test', 'e')):
        for name in names:
            picture(root / split / f'{name}.png')
        write(root / split / '_annotations.coco.json', instances(names, categories=categories))
    return 'abc', 'd'


def layout_cvat(root):
    for name in THINGS:
        picture(root / 'images/default' / f'{name}.png')
    write(root / 'annotations/instances_default.json', instances(list(THINGS)))
    return None


def layout_label_studio(root):
    for name in THINGS:
        picture(root / 'images' / f'{name}.png')
    write(root / 'result.json', instances(list(THINGS), 'images\\', info=dict(contributor='Label Studio')))
    return None


def layout_label_studio_upload(root):
    for name in THINGS:
        picture(root / 'images' / f'{name}.png')
    write(root / 'result.json', instances(list(THINGS), '../../label-studio/data/media/upload/1/'))
    return None


def layout_label_studio_without_images(root):
    """The images are the ones that were uploaded; their server names some by a number, some by an address."""
    for name in THINGS:
        picture(root / 'images' / f'{name}.png')
    content = instances(list(THINGS), '/data/upload/1/3fa85f64-')
    content['images'][0]['file_name'] = '/data/local-files/?d=my%20images/a.png'
    write(root / 'result.json', content)
    return None


def layout_coco(root):
    for split, names in (('train', 'abc'), ('val', 'de')):
        for name in names:
            picture(root / f'{split}2017' / f'{name}.png')
        for kind in ('instances', 'person_keypoints'):
            write(root / f'annotations/{kind}_{split}2017.json', instances(names))
        write(root / f'annotations/captions_{split}2017.json', dict(images=[], annotations=[dict(caption='a')]))
    return 'abc', 'de'


LAYOUTS = [
    layout_roboflow,
    layout_cvat,
    layout_label_studio,
    layout_label_studio_upload,
    layout_label_studio_without_images,
]
LAYOUTS += [layout_coco]


@pytest.mark.parametrize('layout', LAYOUTS)
def test_instances(tmp_path, layout):
    splits = layout(tmp_path / 'in')
    result = prepared(tmp_path / 'in', tmp_path / 'out')
    assert result.task == 'instance'
    if splits:
        assert same(masks_of(result.train), truth(splits[0])) and same(masks_of(result.val), truth(splits[1]))
    else:
        assert same(both(result), truth()) and len(masks_of(result.val)) == 1
    dataset = DATASETS.build(dict(result.train, pipeline=[]))
    assert dataset.metainfo['classes'] == ('cat', 'dog')


def test_two_names_are_not_one_file(tmp_path):
    picture(tmp_path / 'images' / 'a.png')
    write(tmp_path / 'result.json', instances('ab') | dict(images=[
        dict(id=i, file_name=f'/upload/{i}fa85f64-a.png', height=SIZE[0], width=SIZE[1]) for i in range(2)
    ]))  # fmt: skip
    with pytest.raises(DataError, match="0fa85f64-a.png' and .*1fa85f64-a.png', but .* only 'images/a.png'"):
        recognise(tmp_path)


@pytest.mark.parametrize('task', ['panoptic', 'semantic'])
def test_instances_become_others(tmp_path, task):
    layout_cvat(tmp_path / 'in')
    result = prepared(tmp_path / 'in', tmp_path / 'out', task=task)
    found, expected = both(result), truth(background='background')
    if task == 'semantic':
        expected = {name: by_class(rows) for name, rows in expected.items()}
    assert same(found, expected)


def test_one_file_of_several(tmp_path):
    layout_coco(tmp_path / 'in')
    result = prepared(tmp_path / 'in/annotations/instances_train2017.json', tmp_path / 'out')
    assert same(both(result), truth('abc'))


def test_classes_of_splits_are_joined(tmp_path):
    for split, names, categories in (('train', 'abc', CATEGORIES), ('val', 'd', [dict(id=7, name='cat')])):
        for name in names:
            picture(tmp_path / 'in' / split / f'{name}.png')
        write(tmp_path / f'in/{split}.json', instances(names, categories=categories))
    result = prepared(tmp_path / 'in', tmp_path / 'out')
    assert same(masks_of(result.val), truth('d'))
    assert DATASETS.build(dict(result.val, pipeline=[])).metainfo['classes'] == ('cat', 'dog')


def test_images_and_annotations_without_masks(tmp_path):
    content = instances(list(THINGS))
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] != 1]
    content['annotations'][0]['segmentation'] = []
    for name in THINGS:
        picture(tmp_path / 'in' / f'{name}.png')
    write(tmp_path / 'in/a.json', content)
    result = prepared(tmp_path / 'in', tmp_path / 'out')
    assert same(both(result), truth() | dict(a=truth('a')['a'][1:], b=[]))
    assert any('1 image without annotation' in line for line in result.says), result.says
    assert any('1 annotation' in line and 'without a mask' in line for line in result.says)


@pytest.mark.parametrize(
    'fault, sentence',
    [
        ('json', 'is not valid JSON'),
        ('boxes', 'has boxes only'),
        ('missing', "1 of the 5 images that '.*a.json' names are not below '.*', such as 'c.png'"),
        ('all missing', '5 of the 5 images'),
        ('leads out', 'are not below'),
        ('size', '24 x 33 .*but the image .* is 24 x 32'),
        ('category', 'category_id 5, which no category has'),
        ('image id', 'image_id 77, which no image has'),
        ('broken', 'cannot be decoded'),
        ('malformed', 'is malformed'),
        ('twice', 'are both COCO instances of no split'),
    ],
)  # fmt: skip
def test_faults(tmp_path, fault, sentence):
    root = tmp_path / 'in'
    content = instances(list(THINGS))
    for name in THINGS:
        picture(root / f'{name}.png')
    if fault == 'boxes':
        for annotation in content['annotations']:
            annotation['segmentation'] = []
    elif fault == 'missing':
        (root / 'c.png').unlink()
    elif fault == 'all missing':
        for name in THINGS:
            (root / f'{name}.png').unlink()
        picture(root / 'other.png')
    elif fault == 'leads out':
        picture(tmp_path / 'secret.png')
        content['images'][0]['file_name'] = '../secret.png'
    elif fault == 'size':
        content['images'][2]['width'] = 33
    elif fault == 'category':
        content['annotations'][2]['category_id'] = 5
    elif fault == 'image id':
        content['annotations'][2]['image_id'] = 77
    elif fault == 'broken':
        (root / 'd.png').write_bytes(b'no image')
    elif fault == 'malformed':
        del content['annotations'][1]['image_id']
    elif fault == 'twice':
        write(root / 'b.json', content)
    write(root / 'a.json', '{"images": [' if fault == 'json' else content)
    with pytest.raises(DataError, match=sentence) as error:
        prepared(root, tmp_path / 'out')
    assert '\n' not in str(error.value) and str(error.value).endswith(('.', ','))


def test_says_what_it_found(tmp_path):
    layout_roboflow(tmp_path)
    found = recognise(tmp_path)
    assert found.kind == 'COCO instances'
    assert '5 annotated images (train 3, val 1, test 1), 2 classes (cat, dog)' in found.says
    assert json.dumps(found.says) and Path(found.root) == tmp_path


def test_crowds_stay(tmp_path):
    content = instances(['a', 'b'])
    counts = [0, SIZE[0] * SIZE[1]]
    content['annotations'][0] |= dict(segmentation=dict(size=list(SIZE), counts=counts), iscrowd=1)
    for name in 'ab':
        picture(tmp_path / 'in' / f'{name}.png')
    write(tmp_path / 'in/a.json', content)
    result = prepared(tmp_path / 'in', tmp_path / 'out', val_share=0)
    dataset = DATASETS.build(dict(result.train, pipeline=[]))
    assert [one['iscrowd'] for one in dataset.get_data_info(0)['instances']] == [1, 0, 0]
    assert Image.open(dataset.get_data_info(0)['img_path']).size == SIZE[::-1]


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        (dict(annotations=[]), r"its 'annotations' must be a list with entries, but is \[\]"),
        (dict(annotations=None), "its 'annotations' must be a list with entries, but is None"),
        (dict(annotations=['x']), "none of its annotations is an object with 'segmentation'"),
        (dict(images=dict(a=1)), "its 'images' must be a list with entries, but is {'a': 1}"),
    ],
)
def test_what_was_meant_to_be_coco_is_named(tmp_path, change, sentence):
    picture(tmp_path / 'a.png')
    write(tmp_path / 'mine.json', instances(['a']) | change)
    with pytest.raises(DataError, match=rf"mine\.json' has COCO's keys, but {sentence}.*; correct it"):
        recognise(tmp_path)
