"""Batch norms over the images of two processes, against PyTorch's own over all of them."""

import copy
import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from torch import Tensor, nn

from mask2former.engine.sync_norm import CPUSyncBatchNorm, share_statistics
from mask2former.errors import ConfigError
from tests.forked import run_forked_ranks, run_in_two
from tests.tiny import ROOT, write_config

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason='the norms of CPUs; hide the GPUs (CUDA_VISIBLE_DEVICES=)'
)
IMAGES = (3, 1)  # of each process
EXTRA = """
model['backbone'].update(norm_eval=False)
model['type'] = 'DoubleModel'
custom_imports = dict(imports=['mask2former', 'tests.test_engine.double_model'], allow_failed_imports=False)
model['criterion'].update(importance_ratio=0.0)
train_pipeline = [dict(type='LoadImage'), dict(type='LoadPanopticSegments'), dict(type='PackSegInputs')]
train_dataloader.update(batch_size={batch_size}, sampler=dict(shuffle=False))
train_dataloader['dataset'].update(pipeline=train_pipeline)
train_cfg = dict(max_iters=1, val_interval=3)
randomness = dict(seed=3)
sync_bn = {sync_bn}
"""


def build(momentum: float | None, affine: bool, track: bool) -> nn.Module:
    torch.manual_seed(1)
    norm = nn.BatchNorm2d(4, momentum=momentum, affine=affine, track_running_stats=track)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    return nn.Sequential(nn.Conv2d(2, 4, 3), norm, nn.Conv2d(4, 3, 1)).double()


def compare(rank: int, port: str, options: tuple, folder: str) -> None:
    """In one of two processes: its part of the images here, all of them with PyTorch's norm there."""
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
    dist.init_process_group('gloo', rank=rank, world_size=2)
    whole = build(*options)
    shared = MMDistributedDataParallel(share_statistics(copy.deepcopy(whole), 'torch'), broadcast_buffers=False)
    assert type(shared.module[1]) is CPUSyncBatchNorm
    for _ in range(2):  # the second time there are statistics already
        images = (torch.randn(sum(IMAGES), 2, 9, 7, dtype=torch.float64) + 50).requires_grad_()
        mine = images.detach().split(IMAGES)[rank].clone().requires_grad_()
        expected, found = whole(images), shared(mine)
        assert_close(found, expected.split(IMAGES)[rank])
        expected.sin().sum().backward()
        (2 * found.sin().sum()).backward()  # the gradients of weights become the mean over the processes
        assert_close(mine.grad / 2, images.grad.split(IMAGES)[rank])
    for value, other in zip(whole.parameters(), shared.parameters(), strict=True):
        assert_close(other.grad, value.grad)
    for value, other in zip(whole.buffers(), shared.buffers(), strict=True):
        assert_close(other, value)
    assert_close(shared.eval()(images), whole.eval()(images))
    Path(folder, str(rank)).touch()
    dist.destroy_process_group()


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('options', [(0.1, True, True), (None, True, True), (0.1, False, True), (0.1, True, False)])
def test_two_processes_normalise_as_one_does(tmp_path, options):
    run_in_two(compare, options, str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['0', '1']  # both came to the end


def test_two_processes_train_the_weights_of_one(shapes, tmp_path):
    """By config: with ``sync_bn``; without it each process normalises by its own two images.

    In one step: untrained weights with norms like these are so sensitive that in the second one the last bit decides
    which mask a pixel belongs to.
    """
    trained = {}
    for name, count, sync_bn in (('single', 1, None), ('double', 2, 'torch'), ('apart', 2, None)):
        folder = tmp_path / name
        folder.mkdir()
        write_config(folder, shapes, EXTRA.format(batch_size=4 // count, sync_bn=repr(sync_bn)))
        done = run_forked_ranks(count, ROOT / 'tools' / 'train.py', 'tiny.py', cwd=folder)
        assert not any(process.returncode for process in done), done[0].stderr[-3000:]
        trained[name] = torch.load(folder / 'work' / 'iter_1.pth')['state_dict']
    for name, value in trained['single'].items():
        torch.testing.assert_close(trained['double'][name], value, rtol=1e-8, atol=1e-10, msg=name)
    statistics = 'backbone.stem.bn.running_var'
    assert not torch.allclose(trained['apart'][statistics], trained['single'][statistics], rtol=1e-4)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    """A sum of so many values is more than float16 holds."""
    torch.manual_seed(0)
    expected = nn.BatchNorm2d(2)
    found = share_statistics(nn.Sequential(copy.deepcopy(expected)), 'torch')[0]
    images = torch.randn(2, 2, 200, 200) + 5
    with torch.autocast('cpu', dtype):
        out = found(images.to(dtype))
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), expected(images.to(dtype).float()), rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(found.running_mean, expected.running_mean)
    torch.testing.assert_close(found.running_var, expected.running_var)


def test_a_norm_that_does_more_is_refused():
    class Activated(nn.BatchNorm2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).relu()

    with pytest.raises(ConfigError, match='Activated is no batch norm alone'):
        share_statistics(nn.Sequential(Activated(3)), 'torch')


def test_another_implementation_is_refused():
    with pytest.raises(ConfigError, match="sync_bn must be 'torch' or 'mmcv', but is 'apex'"):
        share_statistics(nn.Sequential(), 'apex')


def test_one_value_has_no_variance():
    with pytest.raises(ValueError, match='more than 1 value per channel'):
        share_statistics(nn.Sequential(nn.BatchNorm2d(3)), 'torch')(torch.zeros(1, 3, 1, 1))
