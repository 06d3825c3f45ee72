"""The file of all predictions: what is read from it is what was predicted."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from pycocotools import mask as mask_utils

from mask2former.evaluation import DumpSegResults
from mask2former.evaluation.results_file import read_results
from mask2former.formats.rle import as_rle


def predicted(num_instances: int) -> DetDataSample:
    id_map = torch.zeros(1, 6, 8, dtype=torch.int32)
    id_map[0, 2:, :3] = 7
    id_map[0, :2, 4:] = 300
    infos = [dict(id=7, label=1, isthing=True, score=0.5), dict(id=300, label=4, isthing=False, score=1.0)]
    sample = DetDataSample(metainfo=dict(img_id=12, img_path='a/b.jpg', ori_shape=(6, 8)))
    sample.pred_panoptic_seg = PixelData(id_map=id_map, metainfo=dict(segments_info=infos if num_instances else []))
    sample.pred_sem_seg = PixelData(sem_seg=(torch.arange(48).view(1, 6, 8) // 20).long() * 50)
    sample.pred_instances = InstanceData(
        labels=torch.arange(num_instances),
        scores=torch.linspace(0, 1, num_instances),
        bboxes=torch.rand(num_instances, 4),
        masks=as_rle(torch.rand(num_instances, 6, 8) > 0.5),
    )
    return sample


def dump(tmp_path, *samples: DetDataSample) -> list[dict]:
    metric = DumpSegResults(str(tmp_path / 'all.pkl'))
    for sample in samples:
        metric.process({}, [sample.to_dict()])
    metric.evaluate(len(samples))
    return pickle.loads((tmp_path / 'all.pkl').read_bytes())


def test_the_file_holds_the_predictions(tmp_path):
    sample = predicted(num_instances=3)
    [result] = dump(tmp_path, sample)
    assert (result['img_id'], result['img_path'], result['ori_shape']) == (12, 'a/b.jpg', (6, 8))
    for key in ('labels', 'scores', 'bboxes'):
        np.testing.assert_array_equal(result['instances'][key], sample.pred_instances[key].numpy())
    assert result['instances']['masks'] == sample.pred_instances.masks

    infos = [{key: value for key, value in segment.items() if key != 'mask'} for segment in result['panoptic']]
    assert infos == sample.pred_panoptic_seg.segments_info
    id_map = sum(segment['id'] * mask_utils.decode(segment['mask']).astype(int) for segment in result['panoptic'])
    np.testing.assert_array_equal(id_map, sample.pred_panoptic_seg.id_map[0].numpy())

    assert [segment['label'] for segment in result['semantic']] == [0, 50, 100]
    labels = sum(segment['label'] * mask_utils.decode(segment['mask']).astype(int) for segment in result['semantic'])
    np.testing.assert_array_equal(labels, sample.pred_sem_seg.sem_seg[0].numpy())


def test_nothing_predicted(tmp_path):
    sample = predicted(num_instances=0)
    del sample.pred_sem_seg
    [result] = dump(tmp_path, sample)
    assert result['panoptic'] == []
    assert result['instances']['masks'] == []
    assert result['instances']['bboxes'].shape == (0, 4)
    assert 'semantic' not in result


def test_the_file_needs_numpy_alone(tmp_path):
    dump(tmp_path, predicted(num_instances=2))
    code = (
        'import pickle, sys\n'
        f"pickle.load(open({str(tmp_path / 'all.pkl')!r}, 'rb'))\n"
        "print([name for name in ('torch', 'mmdet', 'mmengine', 'mask2former') if name in sys.modules])"
    )
    process = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == '[]'


def test_nothing_in_a_results_file_is_executed(tmp_path):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'harm'),)

    (tmp_path / 'harm.pkl').write_bytes(pickle.dumps([Harm()]))
    with pytest.raises(ValueError, match='is no file of tools/test.py --out .*mkdir'):
        read_results(tmp_path / 'harm.pkl')
    assert not (tmp_path / 'harm').exists()
    with pytest.raises(FileNotFoundError, match='write them with tools/test.py --out'):
        read_results(tmp_path / 'none.pkl')
