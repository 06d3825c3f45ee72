"""COCO files: read back by panopticapi and pycocotools."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_utils

from mask2former.datasets import coco_files


def test_id_map_is_panopticapis(tmp_path):
    utils = pytest.importorskip('panopticapi.utils')
    id_map = np.array([[0, 255, 256], [65535, 65536, 2**24 - 1]])
    coco_files.write_id_map(tmp_path / 'new' / 'map.png', id_map)
    read = cv2.imread(str(tmp_path / 'new' / 'map.png'))[..., ::-1]
    assert (utils.rgb2id(read) == id_map).all()
    assert (read == utils.id2rgb(id_map)).all()


def test_an_interrupted_write_leaves_no_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError('no space')

    monkeypatch.setattr(coco_files.Path, 'replace', full)
    with pytest.raises(OSError, match='no space'):
        coco_files.write_json(tmp_path / 'a.json', {})
    assert not (tmp_path / 'a.json').exists()


def test_segments_equal_pycocotools():
    rng = np.random.default_rng(0)
    id_map = np.kron(rng.integers(0, 4, (5, 7)), np.ones((3, 2), int)) * 1000
    infos = coco_files.segments_of(id_map, {1000: 7, 2000: 8, 3000: 7}, crowd=[2000])
    assert [info['id'] for info in infos] == [1000, 2000, 3000]
    for info in infos:
        rle = mask_utils.encode(np.asfortranarray(id_map == info['id'], dtype=np.uint8))
        assert info['area'] == mask_utils.area(rle)
        assert info['bbox'] == mask_utils.toBbox(rle).tolist()
        assert info['iscrowd'] == (info['id'] == 2000)
        assert info['category_id'] == (8 if info['id'] == 2000 else 7)


def test_instances_leave_out_empty_masks():
    masks = np.zeros((2, 4, 5), bool)
    masks[1, 1:3, 2:4] = True
    [instance] = coco_files.instances_of(masks, [3, 4])
    assert (instance['category_id'], instance['area'], instance['bbox']) == (4, 4, [2, 1, 2, 2])
    assert (mask_utils.decode(instance['segmentation']) == masks[1]).all()
    assert coco_files.instances_of(masks[:0], []) == []


def test_more_instances_than_a_byte_counts():
    masks = np.zeros((300, 4, 5), bool)
    masks[:, 1:3, 2:4] = True
    assert [instance['area'] for instance in coco_files.instances_of(masks, [3] * 300)] == [4] * 300
