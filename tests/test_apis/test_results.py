"""Files of results hold what the data samples hold."""

import json

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from mask2former.apis import sample_to_json, write_id_map
from mask2former.formats.panoptic_png import read_id_map
from mask2former.formats.rle import decode_mask


def test_json_has_what_the_sample_has(inferencer, samples):
    for sample in samples:
        result = json.loads(json.dumps(sample_to_json(sample, inferencer.dataset_meta['classes'])))
        assert result['image'] == dict(path=sample.img_path, height=64, width=96)

        id_map = sample.pred_panoptic_seg.id_map[0].numpy()
        assert len(result['panoptic']) == len(sample.pred_panoptic_seg.segments_info)
        for segment, info in zip(result['panoptic'], sample.pred_panoptic_seg.segments_info):
            assert {key: segment[key] for key in info} == info
            assert segment['name'] == inferencer.dataset_meta['classes'][info['label']]
            assert_mask(segment, id_map == info['id'])

        instances = sample.pred_instances
        assert len(result['instances']) == len(instances)
        for item, index in zip(result['instances'], instances.scores.argsort(descending=True, stable=True)):
            assert item['score'] == instances.scores[index].item() and item['label'] == instances.labels[index].item()
            assert item['bbox'] == instances.bboxes[index].tolist()
            assert_mask(item, decode_mask(instances.masks[index]))

        labels = sample.pred_sem_seg.sem_seg
        assert sum(result['semantic'].values()) == pytest.approx(1)
        for name, share in result['semantic'].items():
            label = inferencer.dataset_meta['classes'].index(name)
            assert share == pytest.approx((labels == label).float().mean().item())


def assert_mask(item, mask):
    assert np.array_equal(coco_mask.decode(item['segmentation']), mask)
    assert item['area'] == mask.sum()
    if mask.any():
        y, x = np.nonzero(mask)
        assert item['bbox'] == [x.min(), y.min(), x.max() + 1, y.max() + 1]


def test_id_map_is_cocos(tmp_path, samples):
    write_id_map(samples[0], tmp_path / 'map.png')
    assert np.array_equal(read_id_map(str(tmp_path / 'map.png')), samples[0].pred_panoptic_seg.id_map[0].numpy())
    sample = samples[0].new()
    sample.pred_panoptic_seg.id_map = torch.full((1, 64, 96), 70000, dtype=torch.int32)
    write_id_map(sample, tmp_path / 'large.png')
    assert np.all(read_id_map(str(tmp_path / 'large.png')) == 70000)
    del sample.pred_panoptic_seg
    with pytest.raises(ValueError, match='no panoptic map'):
        write_id_map(sample, tmp_path / 'none.png')
