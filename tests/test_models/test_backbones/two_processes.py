"""One of two processes that train a backbone: ``python two_processes.py WEIGHTS OUT``."""

import sys

import torch
from mmengine.model import MMDistributedDataParallel

from mask2former.models.backbones import HFBackbone


def step(backbone, wrapped, images) -> dict[str, torch.Tensor]:
    """The gradients after two passes: the second would wait for weights that had no part in the first."""
    for _ in range(2):
        backbone.zero_grad()
        sum(x.square().mean() for x in wrapped(images)).backward()
    return {name: x.grad for name, x in backbone.named_parameters() if x.grad is not None}


def build(weights: str, rank: int) -> HFBackbone:
    """The backbone in double precision, with random numbers of the process's own before the weights are loaded."""
    torch.manual_seed(rank)
    backbone = HFBackbone(name=weights, frozen_stages=0, with_cp=True)
    backbone.init_weights()
    return backbone.double().train()


def images() -> torch.Tensor:
    """(2, 3, 64, 64)."""
    return torch.randn(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


if __name__ == '__main__':
    torch.distributed.init_process_group('gloo')
    rank = torch.distributed.get_rank()
    backbone = build(sys.argv[1], rank)
    wrapped = MMDistributedDataParallel(module=backbone, broadcast_buffers=False)
    gradients = step(backbone, wrapped, images()[rank : rank + 1])
    if rank == 0:
        torch.save(gradients, sys.argv[2])
    torch.distributed.destroy_process_group()
