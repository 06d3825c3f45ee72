"""Files of ``work_dir/failures`` by strangers: what is not as a training writes it is refused before it is replayed."""

import copy
import math
from typing import Any

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from mask2former.engine.failures import check_targets, read_failure, write_failure

from .kit import ABSENT, FINE, change, last_line

ODD: tuple[Any, ...] = ('x', [1], {}, torch.ones(3), ABSENT)
CASES: dict[str, tuple[Any, ...]] = {
    'inputs': (*ODD, None, 7, [], [torch.zeros(3)], [torch.zeros(1, dtype=torch.uint8).expand(3, 100_000, 100_000)]),
    'samples': (*ODD, None, 7, [{}], []),
    'samples.0.meta': (None, 7, {'seed': 'x'}, {'seed': [1]}),
    'samples.0.fields': (None, 7, {}),
    'samples.0.fields.gt_segments': (None, {'kind': 'PixelData', 'values': {}}, {'kind': 'os', 'values': {}}, ABSENT),
    'samples.0.fields.gt_segments.values.labels': (7, torch.tensor([99]), torch.tensor([-5]), torch.ones(1), ABSENT),
    'samples.0.fields.gt_segments.values.ids': (ABSENT,),
    'samples.0.fields.gt_seg_map': (ABSENT,),
    'samples.0.fields.gt_seg_map.values.id_map': (ABSENT,),
    'seeds': ('x', {}, torch.ones(3), ABSENT, None, 7, [-1], [1.5]),
    'iteration': (*ODD, None, -1, 10**400),
    'rank': (*ODD, None, -1),
    'amp_dtype': ('x', 7),
    'loss_scale': (*ODD, None, 0.0, math.inf, 10**400),
    'accumulative_counts': (*ODD, None, 0, 10**100),
    'losses': ('x', [1], torch.ones(3), ABSENT, None, 7, {'loss': 'x'}, {'loss': torch.ones(3)}),
    'grad_norm': ('x', 10**400),
    'error': (7,),
}


@pytest.fixture(scope='module')
def saved(tmp_path_factory) -> dict:
    sample = DetDataSample(metainfo=dict(img_path='a.jpg', seed=2**63))
    sample.gt_segments = InstanceData(labels=torch.tensor([1]), ids=torch.tensor([7]))
    sample.gt_seg_map = PixelData(id_map=torch.full((1, 4, 6), 7))
    path = tmp_path_factory.mktemp('saved') / 'iter_3_rank_0.pth'
    content = dict(
        inputs=[torch.zeros(3, 4, 6, dtype=torch.uint8)], samples=[sample], seeds=(1, 2), iteration=3, rank=0
    )
    content |= dict(amp_dtype=None, loss_scale=1.0, accumulative_counts=1, losses={'loss': math.nan})
    write_failure(path, dict(content, grad_norm=None, error=None))
    return torch.load(path, weights_only=True)


def end_of(path) -> str:
    return last_line(lambda: check_targets(read_failure(path)['samples'], 9))


@pytest.mark.parametrize(
    ('field', 'value'), [(field, value) for field, values in CASES.items() for value in values], ids=str
)
def test_a_field(saved, tmp_path, field, value):
    content = copy.deepcopy(saved)
    change(content, field, value)
    torch.save(content, tmp_path / 'iter_3_rank_0.pth')
    assert end_of(tmp_path / 'iter_3_rank_0.pth').startswith('Error: ')


def test_as_it_was(saved, tmp_path):
    torch.save(saved, tmp_path / 'iter_3_rank_0.pth')
    assert end_of(tmp_path / 'iter_3_rank_0.pth') == FINE
