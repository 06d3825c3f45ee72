"""Mapillary Vistas: the complete tree is only checked; panoptic files are made of instances, against a plain loop."""

import json

import numpy as np
import pytest
from PIL import Image

from mask2former.data_tools.official import mapillary
from mask2former.errors import DataError
from mask2former.formats.known_metainfo import known_metainfo
from tests.test_data_tools.kit import blocks, load, run, save, times

INFO = known_metainfo('mapillary_panoptic')
# Bird (a thing) 0 and 1, Curb, Road with two numbers, Car 0 and 255, Ego Vehicle, Unlabeled.
VALUES = [0, 1, 2 * 256, 13 * 256, 13 * 256 + 4, 55 * 256, 55 * 256 + 255, 64 * 256, 65 * 256]


def write_config(path, names=INFO['classes']):
    labels = [dict(name='x', readable=name, instances=True, color=[0, 0, 0]) for name in (*names, 'Unlabeled')]
    path.write_text(json.dumps(dict(labels=labels)))


@pytest.fixture()
def tree(tmp_path):
    """The release without its panoptic folders."""
    rng = np.random.default_rng(0)
    for split, names in (('training', ('a-1', 'b_2')), ('validation', ('c',))):
        for number, name in enumerate(names):
            size = (24 + 4 * number, 36)
            values = blocks(rng, size, VALUES, np.uint16)
            save(tmp_path / split / 'images' / f'{name}.jpg', np.zeros((*size, 3), np.uint8))
            save(tmp_path / split / 'instances' / f'{name}.png', values)
            save(tmp_path / split / 'labels' / f'{name}.png', (values // 256).astype(np.uint8))
    write_config(tmp_path / 'config.json')
    return tmp_path


def segments(path):
    """Category and mask of each segment, by the rules of the release's demo.py: label v // 256, number v % 256."""
    values = np.array(Image.open(path)).astype(int)
    for label in np.unique(values // 256):
        inside = values // 256 == label
        if label == 65:
            continue
        numbers = np.unique(values[inside] % 256) if INFO['isthing'][label] else [None]
        for number in numbers:
            yield label + 1, inside & (values % 256 == number) if number is not None else inside


@pytest.mark.parametrize('jobs', [1, 2])
def test_panoptic_of_instances(tree, jobs):
    utils = pytest.importorskip('panopticapi.utils')
    assert 'panoptic_2018.json: 2 images, made of' in run('prepare_mapillary', tree, '--jobs', jobs)
    content = json.loads((tree / 'training/panoptic/panoptic_2018.json').read_text())
    assert [image['id'] for image in content['images']] == ['a-1', 'b_2']
    assert content['categories'][0] == dict(id=1, name='Bird', isthing=1, color=[165, 42, 42])
    assert len(content['categories']) == 65
    for image, annotation in zip(content['images'], content['annotations']):
        with Image.open(tree / 'training/images' / image['file_name']) as picture:
            assert picture.size == (image['width'], image['height'])
        ids = utils.rgb2id(np.array(Image.open(tree / 'training/panoptic' / annotation['file_name'])))
        expected = list(segments(tree / 'training/instances' / annotation['file_name']))
        assert len(expected) == len(annotation['segments_info']) == 7
        assert (ids == 0).sum() == sum(~np.any([mask for _, mask in expected], axis=0).ravel()) > 0
        for category, mask in expected:
            [id_] = np.unique(ids[mask])
            [info] = [info for info in annotation['segments_info'] if info['id'] == id_]
            assert (ids[~mask] != id_).all()
            assert (info['category_id'], info['area'], info['iscrowd']) == (category, mask.sum(), 0)

    item = load('mapillary_panoptic', 'train', tree)[0]
    assert sorted(item['gt_seg_labels'].tolist()) == [0, 0, 2, 13, 55, 55, 64]
    assert load('mapillary_semantic', 'train', tree)[0]['gt_seg_labels'].tolist() == [0, 2, 13, 55, 64]


def test_a_complete_release_is_left_alone(tree):
    run('prepare_mapillary', tree, '--jobs', 1)
    before = {path: path.stat().st_mtime_ns for path in tree.rglob('*')}
    (tree / 'config.json').unlink()
    assert run('prepare_mapillary', tree, '--jobs', 1).count('nothing to convert') == 2
    before.pop(tree / 'config.json')
    before.pop(tree, None)
    assert before == {path: path.stat().st_mtime_ns for path in tree.rglob('*')}
    (tree / 'training/panoptic/b_2.png').unlink()
    with pytest.raises(SystemExit, match=r'Error: 1 of 2 images have no file in .*training/panoptic.*b_2.png; unpack'):
        run('prepare_mapillary', tree)


def test_links_in_the_zip_of_v2(tree):
    for split in ('training', 'validation'):
        (tree / split / 'v1.2').mkdir()
        for kind in ('instances', 'labels'):
            (tree / split / kind).rename(tree / split / 'v1.2' / kind)
    (tree / 'config.json').rename(tree / 'config_v1.2.json')
    run('prepare_mapillary', tree, '--jobs', 1)
    assert (tree / 'training/labels').resolve() == (tree / 'training/v1.2/labels').resolve()
    assert len(load('mapillary_panoptic', 'train', tree)) == 2
    assert load('mapillary_semantic', 'val', tree)[0]['gt_sem_seg'].sem_seg.shape == (1, 24, 36)


def test_resumes_after_a_broken_file(tree):
    broken = tree / 'training/instances/b_2.png'
    good = broken.read_bytes()
    broken.write_bytes(b'')
    with pytest.raises(DataError, match="b_2.png' cannot be read as an image .*get it again"):
        mapillary.prepare_mapillary(tree, ['training'], 1)
    done = times(tree / 'training/panoptic')
    broken.write_bytes(good)
    mapillary.prepare_mapillary(tree, ['training'], 1)
    after = times(tree / 'training/panoptic')
    assert (len(done), len(after)) == (1, 3) and done.items() <= after.items()
    assert not list(tree.rglob('*.journal'))


def test_errors_name_file_and_fix(tree):
    def prepare():
        mapillary.prepare_mapillary(tree, ['training'], 1)

    write_config(tree / 'config.json', [*INFO['classes'], 'Another'])
    with pytest.raises(DataError, match='config.json.* has not the 66 labels of Mapillary Vistas v1.2'):
        prepare()
    (tree / 'config.json').unlink()
    with pytest.raises(FileNotFoundError, match='config.json.* does not exist; it is part of the release'):
        prepare()
    write_config(tree / 'config.json')
    save(tree / 'training/instances/a-1.png', np.full((24, 36), 66 * 256, np.uint16))
    with pytest.raises(DataError, match='a-1.png.* has the label 66, but v1.2 has 0 to 65'):
        prepare()
    save(tree / 'training/instances/a-1.png', np.zeros((24, 35), np.uint16))
    with pytest.raises(DataError, match='a-1.png.* is 24 x 35 .*24 x 36'):
        prepare()
    with pytest.raises(FileNotFoundError, match='images.* does not exist; give the folder of the unpacked release'):
        mapillary.prepare_mapillary(tree / 'training', ['training'], 1)
