import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from mask2former.datasets import CocoInstance
from mask2former.datasets.transforms import LoadImage, LoadInstanceGroundTruth, LoadInstanceSegments, PackSegInputs
from mask2former.errors import DataError
from mask2former.models.data_preprocessor import form_masks

SQUARE = [[2, 2, 10, 2, 10, 10, 2, 10]]


def load(instances: list[dict], size=(20, 30), **more) -> dict:
    instances = [dict(label=0, iscrowd=0, **i) if 'label' not in i else dict(iscrowd=0, **i) for i in instances]
    results = dict(img=np.zeros((*size, 3), np.uint8), img_path='some.jpg', instances=instances, **more)
    return LoadInstanceSegments().transform(results)


def masks_of(results: dict) -> torch.Tensor:
    sample = PackSegInputs().transform(results)['data_samples']
    form_masks(sample)
    return sample.gt_segments.masks


def test_all_kinds_of_segmentation():
    mask = np.zeros((20, 30), np.uint8, order='F')
    mask[4:9, 12:20] = 1
    compressed = coco_mask.encode(mask)
    text = dict(size=compressed['size'], counts=compressed['counts'].decode())
    runs = np.flatnonzero(np.diff(np.concatenate([[0], mask.ravel('F'), [0]])))
    plain = dict(size=[20, 30], counts=np.diff(np.concatenate([[0], runs, [600]])).tolist())
    for segmentation in (compressed, text, plain):
        assert (masks_of(load([dict(segmentation=segmentation)]))[0].numpy() == mask).all()
    polygon = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(SQUARE, 20, 30)))
    assert (masks_of(load([dict(segmentation=SQUARE)]))[0].numpy() == polygon).all() and polygon.sum() > 50


def test_layers_of_overlapping_instances():
    a, b, c = SQUARE, [[6, 6, 14, 6, 14, 14, 6, 14]], [[20, 2, 26, 2, 26, 8, 20, 8]]
    apart = load([dict(segmentation=s) for s in (a, c)])
    assert apart['gt_seg_map'].shape == (20, 30) and apart['gt_seg_map'].dtype == np.uint8
    over = load([dict(segmentation=s, label=i) for i, s in enumerate((a, b, c))])
    assert over['gt_seg_map'].shape == (20, 30, 2)  # c lies beside a, in the first layer
    assert over['gt_seg_labels'].tolist() == [0, 1, 2]
    for mask, segmentation in zip(masks_of(over), (a, b, c)):
        assert (mask.numpy() == coco_mask.decode(coco_mask.frPyObjects(segmentation, 20, 30))[..., 0]).all()


def test_what_is_left_out():
    results = load(
        [
            dict(segmentation=[[1, 1, 9, 9]], label=5),  # two points enclose nothing; not a box
            dict(segmentation=dict(size=[20, 30], counts=[600]), label=6),
            dict(segmentation=SQUARE, label=7),
        ]
    )
    assert results['gt_seg_labels'].tolist() == [7] and set(np.unique(results['gt_seg_map'])) == {0, 1}
    crowd = dict(segmentation=SQUARE, label=1, iscrowd=1)
    results = LoadInstanceSegments().transform(
        dict(img=np.zeros((20, 30, 3), np.uint8), img_path='a', instances=[crowd])
    )
    assert results['gt_seg_map'].shape == (20, 30) and not results['gt_seg_map'].any()
    assert masks_of(results).shape == (0, 20, 30)


def test_many_instances():
    boxes = [(x, y) for y in range(0, 40, 2) for x in range(0, 40, 2)]
    masks = np.zeros((40, 40, 400), np.uint8, order='F')
    for i, (x, y) in enumerate(boxes):
        masks[y : y + 2, x : x + 2, i] = 1
    results = load([dict(segmentation=rle) for rle in coco_mask.encode(masks)], size=(40, 40))
    assert results['gt_seg_map'].dtype == np.uint16 and results['gt_seg_map'].shape == (40, 40)
    assert (masks_of(results).numpy() == masks.transpose(2, 0, 1)).all()


def test_errors_name_the_image():
    for segmentation in ([1, 2, 3, 4, 5, 6], 'abc', dict(size=[20, 30]), [['a'] * 6]):
        with pytest.raises(DataError, match="'some.jpg' has a segmentation that is neither"):
            load([dict(segmentation=segmentation)])
    with pytest.raises(DataError, match='RLE of an instance is 5 x 6 .*some.jpg'):
        load([dict(segmentation=dict(size=[5, 6], counts=[30]))])
    with pytest.raises(DataError, match='annotation file is 30 x 20 .*some.jpg.* EXIF'):
        load([], height=30, width=20)
    with pytest.raises(DataError, match='Over 128 instances lie over one another .*some.jpg'):
        load([dict(segmentation=SQUARE)] * 129)


def test_masks_of_real_data_equal_pycocotools(shared_data):
    dataset = CocoInstance(
        data_root=str(shared_data / 'coco_panoptic_200'), ann_file='annotations/instances_train2017.json'
    )
    for i in range(0, 100, 4):
        results = LoadInstanceSegments().transform(LoadImage().transform(dataset.get_data_info(i)))
        height, width = results['img'].shape[:2]
        expected = []
        for instance in results['instances']:
            if not instance['iscrowd']:
                rles = coco_mask.frPyObjects(instance['segmentation'], height, width)
                expected.append(coco_mask.decode(coco_mask.merge(rles)).astype(bool))
        expected = np.stack([m for m in expected if m.any()]) if expected else np.zeros((0, height, width), bool)
        assert (masks_of(results).numpy() == expected).all()


def test_ground_truth_is_that_of_the_original_image():
    instances = [
        dict(segmentation=SQUARE, label=3, iscrowd=0),
        dict(segmentation=SQUARE, label=1, iscrowd=1),
        dict(segmentation=[[20, 2, 26, 2, 26, 8, 20, 8]], label=1, iscrowd=0),
    ]
    results = dict(img=np.zeros((40, 60, 3), np.uint8), img_path='a', ori_shape=(20, 30), instances=instances)
    truth = PackSegInputs().transform(LoadInstanceGroundTruth().transform(results))['data_samples'].gt_instances
    assert truth.labels.tolist() == [3, 1]
    for mask, instance in zip(truth.masks, (instances[0], instances[2])):
        expected = coco_mask.decode(coco_mask.frPyObjects(instance['segmentation'], 20, 30))[..., 0]
        assert (coco_mask.decode(mask) == expected).all() and expected.any()
    empty = PackSegInputs().transform(LoadInstanceGroundTruth().transform(dict(results, instances=[])))
    assert len(empty['data_samples'].gt_instances) == 0


def test_segmentations_that_pycocotools_would_follow_anywhere_are_refused():
    far = [
        [0, 0, 1e9, 0, 1e9, 1e9],
        [0, 0, float('inf'), 3, 3, 3],
        [-1e9, 0, 5, 5, 0, 5],
        [0, 0, float('nan'), 1, 1, 2],
    ]
    short, long, negative, odd = [599], [601], [-5, 605], '?????'
    segmentations = [[polygon] for polygon in far]
    segmentations += [dict(size=[20, 30], counts=counts) for counts in (short, long, negative, odd, [300])]
    for segmentation in segmentations:
        with pytest.raises(DataError, match="'some.jpg' has a segmentation that is neither.*--fix leave it out"):
            load([dict(segmentation=segmentation)])
