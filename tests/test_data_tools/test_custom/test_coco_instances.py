"""COCO's instances to panoptic: masks as pycocotools decodes them, read by panopticapi's evaluation."""

import json
import re

import numpy as np
import pytest
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

from tests.test_data_tools.kit import failure, instance, picture, run, same, segments

TOOL, SIZE = 'coco_instance_to_panoptic', (40, 60)
CATEGORIES = [dict(id=3, name='cat', supercategory='animal'), dict(id=90, name='dog'), dict(id=1, name='grass')]


def polygon(rng):
    angles = np.sort(rng.uniform(0, 2 * np.pi, 7))
    radius = rng.uniform(4, 18, 7)
    centre = rng.uniform(5, 40, 2)
    return np.stack([centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)], 1).ravel().tolist()


def rle_of(mask, compressed):
    rle = mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
    if compressed:
        return dict(size=rle['size'], counts=rle['counts'].decode())
    flat = mask.ravel(order='F')
    changes = np.flatnonzero(np.diff(np.concatenate([[False], flat, [not flat[-1]]])))
    return dict(size=list(mask.shape), counts=np.diff(np.concatenate([[0], changes])).tolist())


@pytest.fixture
def tree(tmp_path):
    """Polygons, one of two parts, both kinds of RLE, a crowd and stuff, overlapping; an image without annotation."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number, name in enumerate(('a.jpg', 'sub/b.jpg', 'c.png')):
        picture(tmp_path / 'images' / name, SIZE, number)
        images.append(dict(id=10 * number + 5, file_name=name, height=SIZE[0], width=SIZE[1]))
        if name == 'c.png':
            continue
        crowd = np.zeros(SIZE, bool)
        crowd[5:10, 5:50] = True
        rows = [
            (90, [polygon(rng), polygon(rng)], 0),
            (3, rle_of(rng.random(SIZE) < 0.02, True), 0),
            (1, [[0.0, 20.0, 60.0, 20.0, 60.0, 40.0, 0.0, 40.0]], 0),
            (3, rle_of(crowd, False), 1),
            *((int(rng.choice([3, 90])), [polygon(rng)], 0) for _ in range(6)),
            (1, [polygon(rng)], 0),
        ]
        for category, segmentation, crowd in rows:
            annotations.append(
                dict(
                    id=1000 - len(annotations),
                    image_id=images[-1]['id'],
                    category_id=category,
                    segmentation=segmentation,
                    iscrowd=crowd,
                    area=1,
                    bbox=[0, 0, 1, 1],
                )
            )
    (tmp_path / 'all.json').write_text(json.dumps(dict(images=images, annotations=annotations, categories=CATEGORIES)))
    return tmp_path


def convert(tree, *arguments):
    return run(TOOL, tree / 'all.json', tree / 'images', tree / 'out', '--split', 'train', '--jobs', 1, *arguments)


def fault(tree, change):
    content = json.loads((tree / 'all.json').read_text())
    change(content)
    (tree / 'bad.json').write_text(json.dumps(content))
    return failure(TOOL, tree / 'bad.json', tree / 'images', tree / 'out', '--split', 'train', '--jobs', 1)


def expected(coco, image_id, stuff=()):
    """Segments after pycocotools: by area, the smaller over the larger, crowds at the bottom."""
    annotations = coco.loadAnns(coco.getAnnIds(image_id))
    masks = {annotation['id']: coco.annToMask(annotation).astype(bool) for annotation in annotations}
    top = np.full(SIZE, -1)
    for annotation in sorted(annotations, key=lambda row: (1 - row['iscrowd'], -masks[row['id']].sum())):
        top[masks[annotation['id']]] = annotation['id']
    rows = []
    for category in coco.loadCats(coco.getCatIds()):
        own = [row for row in annotations if row['category_id'] == category['id']]
        if category['name'] in stuff:
            rows.append((category['name'], np.isin(top, [row['id'] for row in own]), 0))
        else:
            rows += [(category['name'], top == row['id'], row['iscrowd']) for row in own]
    return [row for row in rows if row[1].any()], top == -1


@pytest.mark.parametrize('stuff', [(), ('grass',)])
def test_equals_pycocotools(tree, stuff):
    convert(tree, *(('--stuff', *stuff) if stuff else ()))
    coco, found = COCO(tree / 'all.json'), segments(tree / 'out', 'train')
    for image_id, name in ((5, 'a.jpg'), (15, 'b.jpg')):
        rows, void = expected(coco, image_id, stuff)
        assert same(found[name][0], rows) and (found[name][1] == void).all()
    assert found['c.png'][0] == [] and found['c.png'][1].all()
    content = json.loads((tree / 'out' / 'annotations' / 'panoptic_train.json').read_text())
    assert [(image['id'], image['file_name']) for image in content['images']] == [
        (5, 'a.jpg'),
        (15, 'b.jpg'),
        (25, 'c.png'),
    ]
    assert [category['id'] for category in content['categories']] == [3, 90, 1]


def test_instances_are_as_before(tree):
    convert(tree, '--stuff', 'grass', '--background', 'other')
    before, after = COCO(tree / 'all.json'), COCO(tree / 'out' / 'annotations' / 'instances_train.json')
    things = [row for row in before.dataset['annotations'] if row['category_id'] != 1]
    keys = ('image_id', 'category_id', 'segmentation', 'iscrowd')
    assert [[row[key] for key in keys] for row in after.dataset['annotations']] == [
        [row[key] for key in keys] for row in things
    ]
    assert instance(tree / 'out', 'train').metainfo['classes'] == ('cat', 'dog')
    assert not any(void.any() for _, void in segments(tree / 'out', 'train').values())


def test_panopticapi_reads_it(tree):
    """The evaluation finds the result equal to itself."""
    evaluation = pytest.importorskip('panopticapi.evaluation')
    convert(tree, '--stuff', 'grass', '--background', 'other')
    folder = tree / 'out' / 'annotations'
    content = json.loads((folder / 'panoptic_train.json').read_text())
    categories = {category['id']: category for category in content['categories']}
    predictions = [
        dict(row, segments_info=[segment for segment in row['segments_info'] if not segment['iscrowd']])
        for row in content['annotations']
    ]
    for row, truth in zip(predictions, content['annotations']):
        row['segments_info'] = [
            dict(id=segment['id'], category_id=segment['category_id']) for segment in truth['segments_info']
        ]
    stat = evaluation.pq_compute_single_core(
        0,
        list(zip(content['annotations'], predictions)),
        str(folder / 'panoptic_train'),
        str(folder / 'panoptic_train'),
        categories,
    )
    for category_id in categories:
        count = sum(
            segment['category_id'] == category_id and not segment['iscrowd']
            for row in content['annotations']
            for segment in row['segments_info']
        )
        row = stat[category_id]
        assert (row.tp, row.fp, row.fn) == (count, 0, 0) and row.iou == pytest.approx(count)


def test_faults(tree):
    annotation = 'The annotation 1000 of'
    for change, sentence in (
        (lambda content: content['annotations'][0].update(category_id=4), f'{annotation}.*category_id 4'),
        (lambda content: content['annotations'][0].update(image_id=4), f'{annotation}.*image_id 4'),
        (lambda content: content['annotations'][0].update(segmentation=[]), f"{annotation}.*no 'segmentation'"),
        (lambda content: content['annotations'][0].update(segmentation='RLE'), 'neither polygons'),
        (lambda content: content['annotations'][1]['segmentation'].update(size=[60, 40]), 'RLE of an instance is'),
        (lambda content: content['images'][0].update(width=61), "'a.jpg' in the JSON file is 40 x 61"),
        (lambda content: content['images'][0].update(file_name='x.jpg'), "x.jpg' does not exist"),
        (lambda content: content['images'][0].update(id=15), 'have the same id'),
        (lambda content: content['images'][2].update(file_name='a.png'), 'have the same name but for the suffix'),
        (lambda content: content['images'][2].update(file_name='../a.jpg'), "'../a.jpg' is no path below the folder"),
        (lambda content: content['images'][2].update(file_name='/a.jpg'), 'a.jpg. is no path below the folder'),
        (lambda content: content.update(categories=[]), "no 'categories'"),
    ):
        found = fault(tree, change)
        assert re.search(sentence, found), found
    assert "'gras' of --stuff" in failure(TOOL, tree / 'all.json', tree / 'images', tree / 'out', '--stuff', 'gras')


def test_real_annotations(shared_data, tmp_path):
    """COCO's own instances, 15 images, those with crowds first: as pycocotools decodes them."""
    root = shared_data / 'coco_panoptic_200'
    content = json.loads((root / 'annotations' / 'instances_train2017.json').read_text())
    crowded = {row['image_id'] for row in content['annotations'] if row['iscrowd']}
    images = sorted(content['images'], key=lambda image: image['id'] not in crowded)[:15]
    ids = {image['id'] for image in images}
    content.update(images=images, annotations=[row for row in content['annotations'] if row['image_id'] in ids])
    (tmp_path / 'some.json').write_text(json.dumps(content))
    run(TOOL, tmp_path / 'some.json', root / 'train2017', tmp_path / 'out', '--split', 'val', '--jobs', 1)
    found, coco = segments(tmp_path / 'out', 'val'), COCO(tmp_path / 'some.json')
    crowds = 0
    for image in images:
        annotations = coco.loadAnns(coco.getAnnIds(image['id']))
        masks = [coco.annToMask(row).astype(bool) for row in annotations]
        rows, void = found[image['file_name']]
        assert (void == ~np.any([np.zeros(void.shape, bool), *masks], axis=0)).all()
        assert len(rows) <= len(masks)
        for name, mask, crowd in rows:
            crowds += crowd
            assert any(
                not (mask & ~other).any() and coco.cats[row['category_id']]['name'] == name and row['iscrowd'] == crowd
                for row, other in zip(annotations, masks)
            )
    assert crowds
