"""Bytes that each process keeps of a model in training, by DDP or by FSDP, after a step on random images.

    torchrun --nproc-per-node 2 -m benchmarks.sharded_memory CONFIG [--wrapper FSDP] [--size 256]

Each process takes one image with five segments. The weights of the backbone are random. The peak is that of the
resident memory of a process, with everything that is in it.
"""

import argparse
import time
from collections.abc import Iterable

import torch
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.model import MMDistributedDataParallel

from mask2former.apis.cli import run_tool
from mask2former.checkpoints.shards import local_part
from mask2former.engine import FSDP, SegOptimWrapperConstructor
from mask2former.registry import MODELS

from .common import parse_size, peak_mb
from .synthetic import make_batch

CLASSES = 133


def main() -> None:
    """Train a step, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='a config of a model')
    parser.add_argument('--wrapper', choices=['DDP', 'FSDP'], default='FSDP')
    parser.add_argument('--size', type=parse_size, default=(256, 256), help='of the images (default: 256)')
    args = parser.parse_args()
    torch.distributed.init_process_group('gloo')
    cfg = Config.fromfile(args.config)
    cfg.model.backbone.init_cfg = None
    metainfo = dict(classes=[str(i) for i in range(CLASSES)], isthing=[True] * CLASSES)
    torch.manual_seed(0)
    model = MODELS.build(dict(cfg.model, metainfo=metainfo)).train()
    if args.wrapper == 'FSDP':
        wrapped = FSDP(model)
        wrapped.shard()
    else:
        wrapped = MMDistributedDataParallel(module=model, broadcast_buffers=False)
    optim_cfg = cfg.optim_wrapper.to_dict()
    optim_cfg.pop('constructor', None)
    optim = SegOptimWrapperConstructor(optim_cfg, optim_cfg.pop('paramwise_cfg', None))(wrapped)
    inputs, samples = make_batch([5], args.size, args.size, args.size, CLASSES, seed=get_rank())
    start = time.perf_counter()
    losses = wrapped(inputs, samples, mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    gradients = size_of(x.grad for x in model.parameters() if x.grad is not None)
    optim.step()
    seconds = time.perf_counter() - start
    moments = size_of(x for state in optim.optimizer.state.values() for x in state.values() if x.ndim)
    print(
        f'{args.wrapper}, process {get_rank()}: weights {size_of(model.parameters()):.0f} MiB, gradients '
        f'{gradients:.0f}, moments {moments:.0f}; step {seconds:.0f} s, loss {float(loss.detach()):.4f}, peak '
        f'{peak_mb(inputs.device):.0f} MiB',
        flush=True,
    )
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def size_of(tensors: Iterable[torch.Tensor]) -> float:
    """MiB of what this process holds."""
    return sum(local_part(x).numel() * x.element_size() for x in tensors) / 2**20


if __name__ == '__main__':
    run_tool(main)
