"""Tiles whose results are the truth give the truth: by our metrics, which equal panopticapi's and pycocotools'."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mask2former.evaluation import InstanceAP, PanopticQuality
from mask2former.formats.rle import decode_mask, encode_mask
from mask2former.models import SegTileModel
from mask2former.tiles import TileGrid, TileMerger

from .oracle import META, Oracle, draw_scene, image_batch, truth_of

SIZE = (150, 211)


def in_tiles(id_map, labels, tile, overlap):
    model = SegTileModel(Oracle(labels), [dict(type='PackSegInputs')], tile, overlap)
    [sample] = model.test_step(image_batch(id_map, labels))
    return sample


def measured(sample):
    metrics = [PanopticQuality(), InstanceAP(max_dets=(500,), metric='segm')]
    result = {}
    for metric in metrics:
        metric.dataset_meta = META
        metric.process(None, [sample.to_dict()])
        result.update(metric.evaluate(1))
    return result


@pytest.mark.parametrize(('tile', 'overlap'), [(64, 1), (64, 16), (64, 40), (50, 25), (149, 3), (200, 60), (300, 20)])
@pytest.mark.parametrize('seed', [0, 1])
def test_true_tiles_give_the_truth(tile, overlap, seed):
    id_map, labels = draw_scene(SIZE, seed)
    sample = in_tiles(id_map, labels, tile, overlap)
    result = measured(sample)
    assert result['PQ'] == result['SQ'] == result['RQ'] == 100
    assert result['segm_mAP'] == pytest.approx(100)
    things = [i for i in range(1, len(labels)) if labels[i] < 2]
    expected = {(labels[i], encode_mask(id_map == i)['counts']) for i in things}
    instances = sample.pred_instances
    assert {(label, mask['counts']) for label, mask in zip(instances.labels.tolist(), instances.masks)} == expected
    assert len(instances.masks) == len(things)
    seen = torch.from_numpy(id_map > 0)
    assert torch.equal(sample.pred_sem_seg.sem_seg[0][seen], torch.from_numpy(labels[id_map])[seen])


def test_one_thing_over_all_tiles_is_one():
    id_map = np.ones((120, 130), np.int32)
    id_map[60] = id_map[:, 65] = 2  # a cross over the border of four tiles
    sample = in_tiles(id_map, np.array([-1, 2, 0]), 50, 10)
    infos = sample.pred_panoptic_seg.segments_info
    assert [(info['label'], info['isthing']) for info in infos] == [(0, True), (2, False)]
    assert [info['score'] for info in infos] == pytest.approx([0.9, 0.9])
    found = sample.pred_panoptic_seg.id_map[0].numpy()
    assert np.array_equal(found == 1, id_map == 2) and np.array_equal(found == 2, id_map == 1)
    [box] = sample.pred_instances.bboxes.tolist()
    assert box == [0, 0, 130, 120]


def test_things_that_lie_over_each_other_stay_apart():
    y, x = np.ogrid[:100, :160]
    masks = [(y - 50) ** 2 + (x - c) ** 2 < 30**2 for c in (60, 80, 100)]
    grid = TileGrid((100, 160), 70, 20)
    merger = TileMerger(grid)
    for tile in grid.tiles:
        seen = [mask[tile.rows, tile.columns] for mask in masks]
        seen = [mask for mask in seen if mask.any()]
        sample = DetDataSample()
        sample.pred_instances = InstanceData(
            labels=torch.zeros(len(seen), dtype=torch.long),
            scores=torch.full((len(seen),), 0.5),
            masks=[encode_mask(mask) for mask in seen],
        )
        merger.add(tile, sample)
    found = [decode_mask(instance.rle) for instance in merger.instances()]
    assert len(found) == 3
    assert all(any(np.array_equal(mask, other) for other in found) for mask in masks)


def test_an_image_without_segments_has_none():
    id_map = np.zeros((90, 90), np.int32)
    sample = in_tiles(id_map, np.array([-1]), 40, 10)
    assert not sample.pred_panoptic_seg.id_map.any() and not sample.pred_panoptic_seg.segments_info
    assert not len(sample.pred_instances) and sample.pred_instances.bboxes.shape == (0, 4)


def test_the_truth_in_one_tile_is_left_as_it_came():
    id_map, labels = draw_scene(SIZE)
    sample = in_tiles(id_map, labels, 211, 10)
    expected = truth_of(id_map, labels)
    assert torch.equal(sample.pred_panoptic_seg.id_map, expected.pred_panoptic_seg.id_map)
    assert sample.pred_panoptic_seg.segments_info == expected.pred_panoptic_seg.segments_info
    assert sample.pred_instances.masks == expected.pred_instances.masks
