"""ADE20K's panoptic and instance files, against a plain loop after the reference's rules."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from mask2former.data_tools.official import ade20k
from mask2former.errors import DataError
from mask2former.evaluation import SemanticIoU
from mask2former.formats.known_metainfo import known_metainfo
from tests.test_data_tools.kit import blocks, load, run, save, times

# Columns Instance100 and SceneParse150 of the reference's ade20k_instance_catid_mapping.txt, some rows.
CLASS_TO_SCENE = {1: 8, 2: 9, 3: 11, 4: 13, 40: 68, 100: 150}


@pytest.fixture()
def tree(tmp_path):
    """Two training images and a validation image; things lie over stuff, and one has no instance."""
    rng = np.random.default_rng(0)
    images = dict(ADE_train_00000001=(40, 56), ADE_train_00000002=(32, 24), ADE_val_00000001=(28, 36))
    for name, size in images.items():
        folder = 'training' if 'train' in name else 'validation'
        (tmp_path / 'images' / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / 'images' / folder / '._hidden.jpg').write_bytes(b'')
        save(tmp_path / 'images' / folder / f'{name}.jpg', rng.integers(0, 256, (*size, 3), np.uint8))
        # 1 wall, 3 sky, 8 bed (a thing, here partly without an instance), 150 flag (a thing)
        save(tmp_path / 'annotations' / folder / f'{name}.png', blocks(rng, size, [0, 1, 3, 8, 150]))
        ids = blocks(rng, size, [0, 0, 0, 1, 2, 3, 5])
        classes = np.array([0, 1, 1, 4, 0, 100], np.uint8)[ids]  # two beds, a person, a flag
        save(tmp_path / 'annotations_instance' / folder / f'{name}.png', np.dstack([classes, ids, ids * 0]))
    return tmp_path


def reference(tree, folder, name):
    """Category, mask and whether it is a thing, in the order in which they are painted."""
    semantic = np.array(Image.open(tree / 'annotations' / folder / f'{name}.png'))
    instance = np.array(Image.open(tree / 'annotations_instance' / folder / f'{name}.png'))
    isthing = known_metainfo('ade20k_panoptic')['isthing']
    for value in np.unique(semantic):
        if value and not isthing[value - 1]:
            yield value - 1, semantic == value, False
    for number in np.unique(instance[..., 1]):
        if number:
            mask = instance[..., 1] == number
            [cls] = np.unique(instance[..., 0][mask])
            yield CLASS_TO_SCENE[cls] - 1, mask, True


@pytest.mark.parametrize('jobs', [1, 2])
def test_panoptic_as_the_reference(tree, jobs):
    utils = pytest.importorskip('panopticapi.utils')
    run('prepare_ade20k', tree, '--tasks', 'panoptic', '--jobs', jobs)
    assert not (tree / 'ade20k_instance_train.json').exists()
    for split, folder, count in (('train', 'training', 2), ('val', 'validation', 1)):
        content = json.loads((tree / f'ade20k_panoptic_{split}.json').read_text())
        assert len(content['images']) == len(content['annotations']) == count
        for image, annotation in zip(content['images'], content['annotations']):
            name = image['id']
            assert annotation['image_id'] == name and annotation['file_name'] == f'{name}.png'
            with Image.open(tree / 'images' / folder / image['file_name']) as picture:
                assert picture.size == (image['width'], image['height'])
            png = np.array(Image.open(tree / f'ade20k_panoptic_{split}' / annotation['file_name']))
            ids = utils.rgb2id(png)
            expected = np.full(ids.shape, -1)
            segment = np.zeros(ids.shape, int)
            for number, (category, mask, _) in enumerate(reference(tree, folder, name), 1):
                expected[mask], segment[mask] = category, number
            actual = np.full(ids.shape, -1)
            for info in annotation['segments_info']:
                mask = ids == info['id']
                assert len(np.unique(segment[mask])) == 1 and mask.sum() == info['area'] and not info['iscrowd']
                actual[mask] = info['category_id']
                rows, columns = np.nonzero(mask)
                assert info['bbox'] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert (actual == expected).all()
            assert len(annotation['segments_info']) == len(np.unique(segment[segment > 0]))
            # Stuff and the first of a class's things have the colour of their class, as IdGenerator gives it.
            for info in annotation['segments_info']:
                colour = content['categories'][info['category_id']]['color']
                if info['category_id'] in (0, 2):
                    assert info['id'] == utils.rgb2id(colour)
    categories = content['categories']
    assert [category['id'] for category in categories] == list(range(150))
    assert sum(category['isthing'] for category in categories) == 100
    assert categories[149] == dict(id=149, name='flag', isthing=1, color=[92, 0, 255])


def test_stuff_under_things_has_no_entry(tree):
    name = 'ADE_val_00000001'
    semantic = np.ones((28, 36), np.uint8)
    semantic[:4, :4] = 3
    ids = np.zeros_like(semantic)
    ids[:8, :8] = 7
    save(tree / 'annotations/validation' / f'{name}.png', semantic)
    save(tree / 'annotations_instance/validation' / f'{name}.png', np.dstack([ids // 7 * 2, ids, ids]))
    run('prepare_ade20k', tree, '--splits', 'val', '--jobs', 1)
    [annotation] = json.loads((tree / 'ade20k_panoptic_val.json').read_text())['annotations']
    assert [(info['category_id'], info['area']) for info in annotation['segments_info']] == [(0, 28 * 36 - 64), (8, 64)]


def test_instances_as_the_reference(tree):
    run('prepare_ade20k', tree, '--tasks', 'instance', '--jobs', 1)
    content = json.loads((tree / 'ade20k_instance_train.json').read_text())
    assert [image['id'] for image in content['images']] == ['ADE_train_00000001', 'ADE_train_00000002']
    assert content['categories'][:2] == [dict(id=7, name='bed'), dict(id=8, name='windowpane')]
    assert content['categories'][99] == dict(id=149, name='flag')
    expected = [
        (image['id'], category, mask)
        for image in content['images']
        for category, mask, thing in reference(tree, 'training', image['id'])
        if thing
    ]
    assert len(expected) == len(content['annotations']) == 8
    for number, (annotation, (image_id, category, mask)) in enumerate(zip(content['annotations'], expected), 1):
        assert (annotation['id'], annotation['image_id'], annotation['category_id']) == (number, image_id, category)
        assert (mask_utils.decode(annotation['segmentation']) == mask).all()
        rows, columns = np.nonzero(mask)
        assert annotation['bbox'] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert annotation['area'] == mask.sum() and annotation['iscrowd'] == 0


def test_our_data_sets_read_them(tree):
    run('prepare_ade20k', tree, '--jobs', 1)
    panoptic, instance = load('ade20k_panoptic', 'train', tree), load('ade20k_instance', 'train', tree)
    assert len(panoptic) == len(instance) == 2
    painted = np.full((40, 56), -1)
    for category, mask, _ in reference(tree, 'training', 'ADE_train_00000001'):
        painted[mask] = category
    item = panoptic[0]
    assert (np.array([-1, *item['gt_seg_labels']])[item['gt_seg_map']] == painted).all()
    assert sorted(instance[0]['gt_seg_labels'].tolist()) == [0, 0, 3, 99]  # indices among the 100 things
    assert len(load('ade20k_panoptic', 'val', tree)[0]['gt_panoptic_seg'].segments_info) > 3


def miou(item, dataset, pred):
    metric = SemanticIoU()
    metric.dataset_meta = dataset.metainfo
    truth = {name: item[name].to_dict() for name in ('gt_sem_seg', 'gt_panoptic_seg') if name in item}
    metric.process(None, [dict(truth, pred_sem_seg=dict(sem_seg=pred[None]))])
    return metric.evaluate(1)['mIoU']


def test_miou_of_the_panoptic_config_is_that_of_the_semantic_files(tree):
    """As the reference measures it: in the panoptic files things without an instance are void, others hide stuff."""
    run('prepare_ade20k', tree, '--tasks', 'panoptic', '--jobs', 1)
    dataset = load('ade20k_panoptic', 'val', tree)
    item = dataset[0]
    official = np.array(Image.open(tree / 'annotations/validation/ADE_val_00000001.png')).astype(int) - 1
    assert (item['gt_sem_seg'].sem_seg[0].numpy() == official).all() and (official == -1).any()
    assert miou(item, dataset, np.maximum(official, 0)) == 100
    rng = np.random.default_rng(0)
    pred = np.where(rng.random(official.shape) < 0.7, np.maximum(official, 0), 2)
    expected = [
        ((pred == label) & (official == label)).sum()
        / (((pred == label) | (official == label)) & (official >= 0)).sum()
        for label in np.unique(official[official >= 0])
    ]
    assert miou(item, dataset, pred) == pytest.approx(100 * np.mean(expected), rel=1e-12)
    del item['gt_sem_seg']
    assert miou(item, dataset, np.maximum(official, 0)) < 90, 'what the panoptic file says is something else'

    some = load('ade20k_panoptic', 'val', tree, metainfo=dict(classes=('flag', 'sky')))
    labels = some[0]['gt_sem_seg'].sem_seg[0].numpy()
    assert (labels == np.select([official == 149, official == 2], [0, 1], -1)).all()


def test_semantic_files_are_named_where_they_are_missing(tree):
    run('prepare_ade20k', tree, '--tasks', 'panoptic', '--splits', 'val', '--jobs', 1)
    with pytest.raises(DataError, match=r'path_key=.semantic_path.*ADE20KPanoptic.*as semantic'):
        load('ade20k_panoptic', 'val', tree, data_prefix=dict(img='images/validation/', seg='ade20k_panoptic_val/'))[0]
    (tree / 'annotations/validation/ADE_val_00000001.png').unlink()
    with pytest.raises(FileNotFoundError, match='annotations/validation/ADE_val_00000001.png'):
        load('ade20k_panoptic', 'val', tree)[0]


def test_resumes_after_a_broken_file(tree):
    broken = tree / 'annotations_instance/training/ADE_train_00000002.png'
    good = broken.read_bytes()
    broken.write_bytes(good[:40])
    with pytest.raises(
        SystemExit, match="The file '.*ADE_train_00000002.png' cannot be read as an image .*get it again"
    ):
        run('prepare_ade20k', tree, '--tasks', 'panoptic', '--jobs', 1)
    assert not (tree / 'ade20k_panoptic_train.json').exists()
    done = times(tree / 'ade20k_panoptic_train')
    broken.write_bytes(good)
    ade20k.convert_ade20k(tree, ['train'], ['panoptic'], 1)
    assert len(done) == 1 and done.items() <= times(tree / 'ade20k_panoptic_train').items()
    assert len(json.loads((tree / 'ade20k_panoptic_train.json').read_text())['annotations']) == 2
    assert not list(tree.glob('*.journal'))


def test_errors_name_file_and_fix(tree):
    path = tree / 'annotations/validation/ADE_val_00000001.png'
    semantic = np.array(Image.open(path))

    def convert():
        ade20k.convert_ade20k(tree, ['val'], ['panoptic'], 1)

    save(path, semantic[:-1])
    with pytest.raises(DataError, match="ADE_val_00000001.png' is 27 x 36 .*28 x 36"):
        convert()
    save(path, np.where(semantic == 3, 151, semantic).astype(np.uint8))
    with pytest.raises(DataError, match="ADE_val_00000001.png' has the value 151, .*1 to 150"):
        convert()
    save(path, semantic)
    labels = np.array(Image.open(tree / 'annotations_instance/validation/ADE_val_00000001.png'))
    labels[..., 0] = 0
    save(tree / 'annotations_instance/validation/ADE_val_00000001.png', labels)
    with pytest.raises(DataError, match=r'Instance 1 in .*classes \[0\].*again'):
        convert()
    with pytest.raises(SystemExit, match="Error: '.*images/training' does not exist; give the folder ADEChallenge"):
        run('prepare_ade20k', tree / 'images')
