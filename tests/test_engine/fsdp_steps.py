"""A script for two processes: steps of a tiny model, with various options, by DDP and by FSDP.

The first process writes what came out to the JSON file that it is given.
"""

import copy
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.dist import all_gather_object, get_rank
from mmengine.model import MMDistributedDataParallel
from torch import nn

from mask2former.checkpoints.shards import local_part, replace_shards, whole
from mask2former.engine import FSDP, SegOptimWrapperConstructor
from mask2former.registry import MODELS
from tests.tiny import sample_of, tiny_config

ADAMW = dict(type='AdamW', lr=1e-3, weight_decay=0.05, fused=True)
WRAPPER = dict(optimizer=ADAMW, clip_grad=dict(max_norm=0.5))
# Otherwise a gradient that is nothing but rounding makes a whole step.
SMOOTH = dict(WRAPPER, optimizer=dict(ADAMW, eps=1e-2))
SWIN = dict(
    type='mmdet.SwinTransformer', embed_dims=16, depths=(1, 1, 2, 1), num_heads=(1, 2, 2, 4), drop_path_rate=0.0
)


def recompute(cfg: dict) -> None:
    """Another backbone, which takes the weights out of its blocks; its and the head's features are not kept."""
    cfg.update(backbone=dict(type='FrozenBNResNet', depth=18, with_cp=True))
    cfg['head']['with_cp'] = True


class Variant(NamedTuple):
    """What is trained, and how: settings of the optimizer wrapper, a change of the model's config, its type, and the
    arguments of the wrapper."""

    optim_wrapper: dict = WRAPPER
    change: Callable[[dict], object] = lambda cfg: None
    dtype: torch.dtype = torch.float64
    arguments: dict = {}


VARIANTS = dict(
    plain=Variant(change=lambda cfg: cfg.update(backbone=dict(SWIN))),
    accumulated=Variant(dict(WRAPPER, accumulative_counts=2), arguments=dict(reshard_after_forward=False)),
    recomputed=Variant(change=recompute),
    infinite=Variant(dict(WRAPPER, optimizer=dict(type='SGD', lr=1e-2, momentum=0.9))),
    bfloat16=Variant(dict(SMOOTH, amp_dtype='bfloat16'), dtype=torch.float32),
    float16=Variant(dict(SMOOTH, amp_dtype='float16'), dtype=torch.float32),
)
STEPS = 3


def batch(step: int) -> dict:
    """Two images of this process, of 64 x 64 pixels, with three segments each."""
    numbers = torch.Generator().manual_seed(100 * step + get_rank())
    images = list(torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8, generator=numbers))
    cells = torch.randint(3, (2, 1, 4, 4), generator=numbers)
    masks = [torch.cat([x == i for i in range(3)]).repeat_interleave(16, 1).repeat_interleave(16, 2) for x in cells]
    return dict(inputs=images, data_samples=[sample_of(x, img_id=i) for i, x in enumerate(masks)])


def spoil(model: nn.Module) -> None:
    """Make the second process's losses of the second step infinite."""
    calls = []

    def hook(module: nn.Module, args: tuple, losses: dict) -> dict:
        calls.append(1)
        factor = float('inf') if len(calls) == 2 and get_rank() == 1 else 1.0
        return {name: value * factor for name, value in losses.items()}

    model.criterion.register_forward_hook(hook)


def train(name: str, sharded: bool) -> dict:
    """The losses of the steps, and weights and optimizer at the end, in the first process."""
    variant = VARIANTS[name]
    torch.manual_seed(0)
    cfg = tiny_config()
    variant.change(cfg)
    model = MODELS.build(cfg)
    model.init_weights()
    model = model.to(variant.dtype).train()
    if name == 'infinite':
        spoil(model)
    if sharded:
        wrapped: FSDP | MMDistributedDataParallel = FSDP(model, **variant.arguments)
        wrapped.shard()
    else:
        wrapped = MMDistributedDataParallel(module=model, broadcast_buffers=False)
    optim = SegOptimWrapperConstructor(copy.deepcopy(variant.optim_wrapper))(wrapped)
    optim.initialize_count_status(wrapped, 0, STEPS)
    gradients: list[int] = []
    own = [x for group in optim.optimizer.param_groups for x in group['params']]
    optim.optimizer.register_step_pre_hook(
        lambda *args: gradients.append(size_of(x.grad for x in own if x.grad is not None))
    )
    losses = []
    for step in range(STEPS):
        torch.manual_seed(step)
        logged = wrapped.train_step(batch(step), optim)
        losses.append({key: float(value.detach()) for key, value in logged.items()})
    content = dict(model=model.state_dict(), optimizer=optim.state_dict())
    gathered = replace_shards(content, lambda keys, shard: whole(shard))
    moments = [value for state in optim.optimizer.state.values() for value in state.values() if value.ndim]
    sizes = [size_of(model.parameters()), gradients[-1], size_of(moments)]
    found = dict(losses=losses, skipped=optim.skipped, steps=len(gradients), sizes=sizes)
    return dict(gathered, ranks=all_gather_object(found))


def size_of(tensors: Iterable[torch.Tensor]) -> int:
    """Bytes of what this process holds."""
    return sum(local_part(x).numel() * x.element_size() for x in tensors)


def difference(first: dict, second: dict, floor: float) -> float:
    """The largest difference of two nested dicts of tensors, as a part of the largest value of each tensor.

    ``floor`` is the least that this is taken for: some weights, such as the bias of keys, have no gradient but for
    rounding.
    """
    assert first.keys() == second.keys()
    found = [0.0]
    for key, value in first.items():
        if isinstance(value, dict):
            found.append(difference(value, second[key], floor))
        elif isinstance(value, torch.Tensor) and value.numel():
            assert value.shape == second[key].shape, key
            scale = max(float(value.abs().max()), floor)
            found.append(float((value.double() - second[key].double()).abs().max()) / scale)
    return max(found)


def main() -> None:
    torch.distributed.init_process_group('gloo')
    report = {}
    for name in VARIANTS:
        one, other = train(name, False), train(name, True)
        if get_rank() == 0:
            report[name] = dict(
                weights=difference(one['model'], other['model'], 1e-3),
                moments=difference(one['optimizer']['state'], other['optimizer']['state'], 1e-8),
                ddp=one['ranks'],
                fsdp=other['ranks'],
            )
    if get_rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(report))
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    main()
