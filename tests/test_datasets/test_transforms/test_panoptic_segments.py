import json

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.structures import InstanceData
from panopticapi.utils import id2rgb, rgb2id

from mask2former.datasets import CocoPanoptic
from mask2former.datasets.transforms import (
    LoadImage,
    LoadPanopticGroundTruth,
    LoadPanopticSegments,
    PackSegInputs,
    panoptic_segments,
)
from mask2former.errors import DataError
from mask2former.formats.panoptic_png import read_id_map, relabel
from mask2former.models.data_preprocessor import form_masks
from mask2former.registry import DATASETS


def load(item: dict) -> dict:
    return LoadPanopticSegments().transform(LoadImage().transform(item))


def segments_of(results: dict) -> InstanceData:
    sample = PackSegInputs().transform(results)['data_samples']
    form_masks(sample)
    return sample.gt_segments


def test_ids_as_panopticapi_writes_and_reads_them(tmp_path):
    id_map = np.random.default_rng(0).integers(0, 1 << 24, (13, 17))
    id_map[0, :3] = 0, 1, (1 << 24) - 1
    rgb = id2rgb(id_map)
    cv2.imwrite(str(tmp_path / 'a.png'), rgb[..., ::-1])
    read = read_id_map(str(tmp_path / 'a.png'))
    assert (read == id_map).all() and (read == rgb2id(rgb)).all()


def test_relabel_equals_the_plain_way():
    rng = np.random.default_rng(1)
    ids = [70000, 3, 512]
    id_map = rng.choice([0, *ids], (30, 40)).astype(np.uint32)
    out, seen = relabel(id_map, ids, np.array([5, 0, 7], np.uint8), 'x.png')
    expected = np.select([id_map == 70000, id_map == 512], [5, 7], 0)
    assert (out == expected).all() and out.dtype == np.uint8 and seen.all()
    out, seen = relabel(np.full((2, 2), 3, np.uint32), ids, np.array([5, 6, 7], np.uint8), 'x.png')
    assert (out == 6).all() and seen.tolist() == [False, True, False]
    out, _ = relabel(np.zeros((2, 2), np.uint32), [], np.zeros(0, np.int32), 'x.png')
    assert (out == 0).all()


def test_compact_map(two_images):
    results = load(DATASETS.build(two_images.write()).get_data_info(0))
    seg_map = results['gt_seg_map']
    assert seg_map.dtype == np.uint8 and seg_map.shape == (24, 32)
    assert ((seg_map == 1) == (two_images.id_map == 70000)).all()
    assert ((seg_map == 2) == (two_images.id_map == 5)).all()
    assert seg_map.max() == 2  # the crowd is void
    assert results['gt_seg_labels'].tolist() == [0, 1] and results['gt_seg_labels'].dtype == np.int64


def test_left_out_categories_are_void(two_images):
    cfg = {**two_images.write(), 'metainfo': dict(classes=('grass',))}
    results = load(DATASETS.build(cfg).get_data_info(0))
    assert ((results['gt_seg_map'] == 1) == (two_images.id_map == 5)).all()
    assert results['gt_seg_map'].max() == 1 and results['gt_seg_labels'].tolist() == [0]


def test_image_without_annotation(two_images):
    results = load(DATASETS.build(two_images.write()).get_data_info(1))
    assert results['gt_seg_map'].shape == (24, 32) and not results['gt_seg_map'].any()
    assert results['gt_seg_labels'].shape == (0,)
    segments = segments_of(results)
    assert segments.masks.shape == (0, 24, 32) and segments.labels.shape == (0,)
    truth = LoadPanopticGroundTruth().transform(results)['gt_panoptic_seg']
    assert truth.id_map.shape == (1, 24, 32) and truth.segments_info == []


@pytest.mark.parametrize('count, dtype', [(254, np.uint8), (255, np.uint16), (300, np.uint16)])
def test_many_segments(tiny, count, dtype):
    id_map = np.kron(np.arange(400).reshape(20, 20), np.ones((2, 2), int)) * 1000
    id_map[id_map > count * 1000] = 0
    tiny.add(id_map, [dict(id=1000 * i, category_id=7, iscrowd=0) for i in range(1, count + 1)])
    results = load(DATASETS.build(tiny.write()).get_data_info(0))
    assert results['gt_seg_map'].dtype == dtype
    assert (results['gt_seg_map'] == id_map // 1000).all()
    masks = segments_of(results).masks
    assert masks.shape == (count, 40, 40) and (masks.sum((1, 2)) == 4).all()


def test_ground_truth_has_original_size_ids_and_crowd(two_images):
    item = DATASETS.build(two_images.write()).get_data_info(0)
    item['void_ids'], item['segments_info'] = [5], [s for s in item['segments_info'] if s['id'] != 5]
    pipeline = Compose(
        [
            dict(type='LoadImage'),
            dict(type='mmdet.Resize', scale=(64, 64), keep_ratio=True),
            dict(type='LoadPanopticGroundTruth'),
            dict(type='PackSegInputs'),
        ]
    )
    packed = pipeline(item)
    assert packed['inputs'].shape == (3, 48, 64)
    sample = packed['data_samples']
    assert 'gt_segments' not in sample
    assert sample.ori_shape == (24, 32) and sample.img_shape == (48, 64) and sample.scale_factor == (2.0, 2.0)
    truth = sample.gt_panoptic_seg
    assert str(truth.id_map.dtype) == 'torch.int32' and truth.id_map.shape == (1, 24, 32)
    assert (truth.id_map[0].numpy() == np.where(two_images.id_map == 5, 0, two_images.id_map)).all()
    assert truth.segments_info == [
        dict(id=70000, label=0, isthing=True, iscrowd=0),
        dict(id=300, label=2, isthing=True, iscrowd=1),
    ]


def test_errors_name_the_files(two_images, tmp_path):
    def item(**changes):
        return {**DATASETS.build(two_images.write()).get_data_info(0), **changes}

    segments = item()['segments_info']
    with pytest.raises(DataError, match=r'10.png.* has the ids \[300\], which its segments_info lacks'):
        load(item(segments_info=segments[:2]))
    with pytest.raises(FileNotFoundError, match='nope.png'):
        load(item(seg_map_path=str(tmp_path / 'nope.png')))
    for content in (b'', b'no image'):
        (tmp_path / 'broken.png').write_bytes(content)
        with pytest.raises(DataError, match='broken.png.*cannot be read as an image'):
            load(item(seg_map_path=str(tmp_path / 'broken.png')))
    cv2.imwrite(str(tmp_path / 'small.png'), np.zeros((5, 6, 3), np.uint8))
    with pytest.raises(DataError, match=r'small.png.* is 5 x 6 .*img/10.png.* is 24 x 32; they must be equal'):
        load(item(seg_map_path=str(tmp_path / 'small.png')))
    cv2.imwrite(str(tmp_path / 'turned.png'), np.zeros((32, 24, 3), np.uint8))
    with pytest.raises(DataError, match='EXIF'):
        load(item(seg_map_path=str(tmp_path / 'turned.png')))


@pytest.mark.parametrize('by_class', [False, True])
def test_listed_segments_without_a_pixel_are_left_out_with_one_warning(two_images, by_class, monkeypatch):
    """As stuff that is wholly covered in the reference's own files of ADE20K."""
    warnings = []
    monkeypatch.setattr(panoptic_segments, 'print_log', lambda message, logger, level: warnings.append(message))
    sound = DATASETS.build(two_images.write()).get_data_info(0)
    segments = sound['segments_info']
    absent = [{**segments[0], 'id': 8, 'label': 2}, {**segments[1], 'id': 9}, {**segments[2], 'id': 10}]
    listed = {**sound, 'segments_info': [absent[0], segments[0], absent[1], *segments[1:], absent[2]]}
    transform, truth = LoadPanopticSegments(by_class), LoadPanopticGroundTruth()
    expected = LoadPanopticSegments(by_class).transform(LoadImage().transform(dict(sound)))
    for _ in range(2):
        results = transform.transform(LoadImage().transform(dict(listed)))
        assert (results['gt_seg_map'] == expected['gt_seg_map']).all()
        assert results['gt_seg_labels'].tolist() == expected['gt_seg_labels'].tolist()
        packed = PackSegInputs(min_area=0).transform(results)['data_samples']
        assert len(packed.gt_segments) == len(expected['gt_seg_labels']), 'not kept as an empty mask either'
        ground_truth = truth.transform(LoadImage().transform(dict(listed)))['gt_panoptic_seg']
        assert [segment['id'] for segment in ground_truth.segments_info] == [70000, 5, 300]
        assert (ground_truth.id_map[0].numpy() == two_images.id_map).all()
    assert len(warnings) == 2 and warnings[0] == warnings[1], 'one of each data set'
    assert f"'{sound['seg_map_path']}' has the ids [8, 9, 10], 3 of the segments" in warnings[0]
    assert len(listed['segments_info']) == 6


def test_segment_without_area_in_the_json(two_images):
    two_images.content['annotations'][0]['segments_info'].append(dict(id=8, category_id=7, area=0))
    assert load(DATASETS.build(two_images.write()).get_data_info(0))['gt_seg_labels'].tolist() == [0, 1]


def test_unreadable_images(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nope.jpg.*check data_root and data_prefix\['img'\]"):
        LoadImage().transform(dict(img_path=str(tmp_path / 'nope.jpg')))
    for content in (b'', b'no image'):
        (tmp_path / 'broken.jpg').write_bytes(content)
        with pytest.raises(DataError, match='broken.jpg.*cannot be decoded'):
            LoadImage().transform(dict(img_path=str(tmp_path / 'broken.jpg')))
    assert LoadImage(ignore_empty=True).transform(dict(img_path=str(tmp_path / 'nope.jpg'))) is None


def test_areas_of_real_data(shared_data):
    root = shared_data / 'coco_panoptic_200'
    annotations = json.loads((root / 'annotations/panoptic_val2017.json').read_text())['annotations']
    area = {(a['image_id'], s['id']): s['area'] for a in annotations for s in a['segments_info']}
    dataset = CocoPanoptic(
        data_root=str(root),
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
    )
    for i in range(0, 100, 2):
        results = load(dataset.get_data_info(i))
        kept = [s for s in results['segments_info'] if not s['iscrowd']]
        counts = np.bincount(results['gt_seg_map'].ravel(), minlength=len(kept) + 1)[1:]
        assert counts.tolist() == [area[results['img_id'], s['id']] for s in kept]


def test_segments_of_a_class_joined(two_images):
    segments = two_images.content['annotations'][0]['segments_info']
    segments[0]['category_id'] = 9  # now a dog, as the crowd is
    item = DATASETS.build(two_images.write()).get_data_info(0)
    results = LoadPanopticSegments(by_class=True).transform(LoadImage().transform(item))
    assert results['gt_seg_labels'].tolist() == [1, 2]
    assert ((results['gt_seg_map'] == 1) == (two_images.id_map == 5)).all()
    assert ((results['gt_seg_map'] == 2) == np.isin(two_images.id_map, [70000, 300])).all()
