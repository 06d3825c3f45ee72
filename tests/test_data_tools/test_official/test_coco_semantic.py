"""Class-id PNG files from panoptic ones, against a plain loop, on made and on real data."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mask2former.data_tools.official import coco_semantic
from mask2former.datasets import SemanticPngFormat
from mask2former.datasets.transforms import LoadImage, LoadSemanticSegments
from mask2former.errors import DataError
from mask2former.formats.panoptic_png import segments_of, write_id_map
from tests.test_data_tools.kit import blocks, run, save, times

CATEGORIES = [dict(id=9, name='sky', isthing=0), dict(id=2, name='car', isthing=1), dict(id=70, name='cow', isthing=1)]


def write_tree(root: Path, count: int = 3) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(count):
        size = (20 + 4 * number, 28)
        id_map = blocks(rng, size, [0, 300, 70000, 5, 6], np.int64)
        save(root / 'images' / f'{number}.jpg', np.zeros((*size, 3), np.uint8))
        write_id_map(root / 'png' / f'{number}_panoptic.png', id_map)
        images.append(dict(id=number, file_name=f'{number}.jpg', height=size[0], width=size[1]))
        annotations.append(
            dict(
                image_id=number,
                file_name=f'{number}_panoptic.png',
                segments_info=segments_of(id_map, {300: 9, 70000: 2, 5: 70, 6: 2}, crowd=[6]),
            )
        )
    path = root / 'panoptic.json'
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=CATEGORIES)))
    return path, root / 'png'


def reference(path: Path, annotation: dict, classes: list[int]) -> np.ndarray:
    rgb = np.array(Image.open(path), dtype=np.uint32)
    ids = rgb[..., 0] + rgb[..., 1] * 256 + rgb[..., 2] * 256**2
    labels = np.full(ids.shape, 255)
    for segment in annotation['segments_info']:
        labels[ids == segment['id']] = classes.index(segment['category_id'])
    return labels


@pytest.mark.parametrize('jobs', [1, 2])
def test_any_panoptic_file(tmp_path, jobs):
    path, png = write_tree(tmp_path)
    run('prepare_coco_semantic', '--files', path, png, tmp_path / 'out', '--jobs', jobs)
    for annotation in json.loads(path.read_text())['annotations']:
        labels = np.array(Image.open(tmp_path / 'out' / f'{annotation["image_id"]}.png'))
        assert labels.dtype == np.uint8
        assert (labels == reference(png / annotation['file_name'], annotation, [9, 2, 70])).all()
    assert not list(tmp_path.glob('*.journal'))

    dataset = SemanticPngFormat(
        ann_file='out.json',
        data_root=str(tmp_path),
        data_prefix=dict(img='images/', seg='out/'),
        pipeline=[LoadImage(), LoadSemanticSegments()],
    )
    assert dataset.metainfo['classes'] == ('sky', 'car', 'cow')
    assert dataset.metainfo['isthing'] == (False, True, True)
    item = dataset[2]
    labels = np.array([255, *item['gt_seg_labels']])[item['gt_seg_map']]
    assert (labels == np.array(Image.open(tmp_path / 'out' / '2.png'))).all()


def test_many_classes_are_16_bit(tmp_path):
    path, png = write_tree(tmp_path, 1)
    content = json.loads(path.read_text())
    content['categories'] = [*(dict(id=1000 + i, name=str(i)) for i in range(254)), *CATEGORIES]
    path.write_text(json.dumps(content))
    coco_semantic.convert_coco_semantic(path, png, tmp_path / 'out', 1)
    labels = np.array(Image.open(tmp_path / 'out' / '0.png'))
    expected = reference(png / '0_panoptic.png', content['annotations'][0], [9, 2, 70])
    assert labels.dtype == np.uint16
    assert (labels == np.where(expected == 255, 65535, expected + 254)).all()


def test_resumes_after_a_broken_file(tmp_path):
    path, png = write_tree(tmp_path)
    good = (png / '1_panoptic.png').read_bytes()
    (png / '1_panoptic.png').write_bytes(good[:30])
    with pytest.raises(DataError, match="1_panoptic.png' cannot be read as an image; replace it"):
        coco_semantic.convert_coco_semantic(path, png, tmp_path / 'out', 1)
    assert not (tmp_path / 'out.json').exists()
    done = times(tmp_path / 'out')
    (png / '1_panoptic.png').write_bytes(good)
    coco_semantic.convert_coco_semantic(path, png, tmp_path / 'out', 1)
    assert len(done) == 1 and done.items() <= times(tmp_path / 'out').items()
    assert (tmp_path / 'out.json').exists()


def test_errors_name_file_and_fix(tmp_path):
    path, png = write_tree(tmp_path, 1)
    content = json.loads(path.read_text())
    out = tmp_path / 'out'
    content['annotations'][0]['segments_info'].pop(0)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"0_panoptic.png' has the ids \[5\], which its segments_info lacks"):
        coco_semantic.convert_coco_semantic(path, png, out, 1)
    content['categories'].pop()
    content['annotations'][0]['segments_info'][0]['category_id'] = 70
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"Image 0 in '.*panoptic.json' has segments of the categories \[70\]"):
        coco_semantic.convert_coco_semantic(path, png, out, 1)
    del content['annotations'][0]['segments_info']
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match='has no segments_info; give a panoptic file'):
        coco_semantic.convert_coco_semantic(path, png, out, 1)
    with pytest.raises(FileNotFoundError, match="nowhere' does not exist; give the folder of the PNG files"):
        coco_semantic.convert_coco_semantic(path, tmp_path / 'nowhere', out, 1)
    with pytest.raises(SystemExit, match='Error: .*annotations/panoptic_train2017.json.* does not exist'):
        run('prepare_coco_semantic', tmp_path)


@pytest.mark.parametrize('name', ['../../x.jpg', '/tmp/x.jpg', '..\\x.jpg', ''])
def test_nothing_is_written_outside(tmp_path, name):
    path, png = write_tree(tmp_path, 1)
    content = json.loads(path.read_text())
    content['images'][0]['file_name'] = name
    path.write_text(json.dumps(content))
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(SystemExit, match='Error: The file name .* is no path below the folder .*deep/out'):
        run('prepare_coco_semantic', '--files', path, png, tmp_path / 'deep' / 'out', '--jobs', 1)
    assert sorted(tmp_path.rglob('*')) == before


def test_real_coco(shared_data, tmp_path):
    root = shared_data / 'coco_panoptic_200'
    path = root / 'annotations' / 'panoptic_train2017.json'
    content = json.loads(path.read_text())
    png = next(root.rglob(content['annotations'][0]['file_name'])).parent
    coco_semantic.convert_coco_semantic(path, png, tmp_path / 'semseg', 2)
    order = [category['id'] for category in content['categories']]
    assert len(order) == 133 and order == sorted(order)
    for annotation in content['annotations'][:40]:
        labels = np.array(Image.open(tmp_path / 'semseg' / annotation['file_name']))
        assert (labels == reference(png / annotation['file_name'], annotation, order)).all()
    assert len(list((tmp_path / 'semseg').iterdir())) == len(content['annotations']) == 100
