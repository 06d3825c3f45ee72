"""A script for two processes: steps of a tiny model, in one of several variants, by DDP and by FSDP.

The first process writes what came out to the JSON file that it is given; beside it is a folder of the checkpoint.
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

from mask2former.checkpoints.fit import load_fitting
from mask2former.checkpoints.sharded_folder import read_folder, write_folder
from mask2former.checkpoints.shards import local_part, replace_shards, whole
from mask2former.engine import FSDP, SegOptimWrapper, SegOptimWrapperConstructor
from mask2former.registry import MODELS
from tests.test_models.test_eomt.small import small_config
from tests.test_models.test_video.small import make_clip, video_config
from tests.tiny import sample_of, tiny_config

ADAMW = dict(type='AdamW', lr=1e-3, weight_decay=0.05, fused=True)
WRAPPER = dict(optimizer=ADAMW, clip_grad=dict(max_norm=0.5))
# Otherwise a gradient that is nothing but rounding makes a whole step.
SMOOTH = dict(WRAPPER, optimizer=dict(ADAMW, eps=1e-2))
SWIN = dict(
    type='mmdet.SwinTransformer', embed_dims=16, depths=(1, 1, 2, 1), num_heads=(1, 2, 2, 4), drop_path_rate=0.0
)


def recompute(cfg: dict) -> None:
    """Another backbone, with frozen norms; its and the head's features are not kept."""
    cfg.update(backbone=dict(type='FrozenBNResNet', depth=18, with_cp=True))
    cfg['head']['with_cp'] = True


def encoder_only(cfg: dict) -> None:
    """EoMT, whose attention is masked for some of the queries, and which leaves out branches of its blocks."""
    cfg.update(small_config('dinov3', side=64), metainfo=cfg['metainfo'])
    for part in ('backbone', 'head'):
        cfg[part].update(drop_path_rate=0.2, with_cp=True)


def of_clips(cfg: dict) -> None:
    """A model of clips."""
    cfg.update(video_config(), metainfo=cfg['metainfo'])


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
    encoder_only=Variant(change=encoder_only),
    of_clips=Variant(change=of_clips),
)
STEPS = 3
RESUMED = ('encoder_only', 'of_clips')


def batch(step: int) -> dict:
    """Two images of this process, of 64 x 64 pixels, with three segments each."""
    numbers = torch.Generator().manual_seed(100 * step + get_rank())
    images = list(torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8, generator=numbers))
    cells = torch.randint(3, (2, 1, 4, 4), generator=numbers)
    masks = [torch.cat([x == i for i in range(3)]).repeat_interleave(16, 1).repeat_interleave(16, 2) for x in cells]
    return dict(inputs=images, data_samples=[sample_of(x, img_id=i) for i, x in enumerate(masks)])


def clips(step: int) -> dict:
    """Two clips of this process, of two frames of 64 x 64 pixels, with two tracks each."""
    numbers = torch.Generator().manual_seed(100 * step + get_rank())
    frames = list(torch.randint(256, (2, 2, 3, 64, 64), dtype=torch.uint8, generator=numbers))
    return dict(inputs=frames, data_samples=[make_clip(2, 2, (64, 64), 10 * step + 2 * get_rank() + i) for i in (0, 1)])


def spoil(model: nn.Module) -> None:
    """Make the second process's losses of the second step infinite."""
    calls = []

    def hook(module: nn.Module, args: tuple, losses: dict) -> dict:
        calls.append(1)
        factor = float('inf') if len(calls) == 2 and get_rank() == 1 else 1.0
        return {name: value * factor for name, value in losses.items()}

    model.criterion.register_forward_hook(hook)


def build(name: str, sharded: bool) -> tuple[FSDP | MMDistributedDataParallel, SegOptimWrapper]:
    """A wrapped model and its optimizer; the same weights each time."""
    variant = VARIANTS[name]
    torch.manual_seed(0)
    cfg = tiny_config()
    variant.change(cfg)
    model = MODELS.build(cfg)
    model.init_weights()
    if name == 'encoder_only':
        model.head.mask_probability.fill_(0.5)
    model = model.to(variant.dtype).train()
    if name == 'infinite':
        spoil(model)
    if sharded:
        wrapped: FSDP | MMDistributedDataParallel = FSDP(model, **variant.arguments)
        wrapped.shard()
    else:
        wrapped = MMDistributedDataParallel(module=model, broadcast_buffers=False)
    optim = SegOptimWrapperConstructor(copy.deepcopy(variant.optim_wrapper))(wrapped)
    optim.initialize_count_status(wrapped, 0, STEPS + 1)
    return wrapped, optim


def predicted(name: str, wrapped: FSDP) -> list[list[float]]:
    """The scores of what is found in a batch, as in a validation."""
    wrapped.gather()
    wrapped.eval()
    found = wrapped.val_step(data_of(name, 0))
    wrapped.train()
    wrapped.scatter()
    if name == 'of_clips':
        return [[track['score'] for track in sample.pred_tracks] for sample in found]
    return [sample.pred_instances.scores.tolist() for sample in found]


def data_of(name: str, number: int) -> dict:
    """The batch of a step."""
    return clips(number) if name == 'of_clips' else batch(number)


def step(name: str, number: int, wrapped: nn.Module, optim: SegOptimWrapper) -> dict[str, float]:
    """Make a step; gives the losses."""
    torch.manual_seed(number)
    return {key: float(value.detach()) for key, value in wrapped.train_step(data_of(name, number), optim).items()}


def train(name: str, sharded: bool, folder: Path) -> dict:
    """The losses of the steps, and weights and optimizer at the end, in the first process.

    What is sharded is written to a folder, too, which another model goes on from.
    """
    wrapped, optim = build(name, sharded)
    model = wrapped.module
    gradients: list[int] = []
    own = [x for group in optim.optimizer.param_groups for x in group['params']]
    optim.optimizer.register_step_pre_hook(
        lambda *args: gradients.append(size_of(x.grad for x in own if x.grad is not None))
    )
    losses = [step(name, number, wrapped, optim) for number in range(STEPS)]
    content = dict(model=model.state_dict(), optimizer=optim.state_dict())
    gathered = copy.deepcopy(replace_shards(content, lambda keys, shard: whole(shard)))  # before it goes on
    moments = [value for state in optim.optimizer.state.values() for value in state.values() if value.ndim]
    sizes = [size_of(model.parameters()), gradients[-1], size_of(moments)]
    found = dict(losses=losses, skipped=optim.skipped, steps=len(gradients), sizes=sizes)
    if isinstance(wrapped, FSDP) and name in RESUMED:
        write_folder(content, folder)
        found.update(goes_on=goes_on(name, folder, wrapped, optim))
    return dict(gathered, ranks=all_gather_object(found))


def goes_on(name: str, folder: Path, wrapped: FSDP, optim: SegOptimWrapper) -> bool:
    """Whether a model that is given a checkpoint predicts the same, and then makes the same step, as the one that wrote
    it, to the last bit."""
    content = read_folder(folder)
    again, optim_again = build(name, True)
    assert isinstance(again, FSDP)
    load_fitting(again.module, content['model'], folder.name)
    optim_again.load_state_dict(content['optimizer'])
    if predicted(name, wrapped) != predicted(name, again):  # as a validation that is due: before any training step
        return False
    losses = [step(name, STEPS, *pair) for pair in ((wrapped, optim), (again, optim_again))]
    pairs = zip(wrapped.module.state_dict().values(), again.module.state_dict().values(), strict=True)
    return losses[0] == losses[1] and all(torch.equal(local_part(a), local_part(b)) for a, b in pairs)


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
    name, report = sys.argv[1], Path(sys.argv[2])
    torch.distributed.init_process_group('gloo')
    one, other = (train(name, sharded, report.with_suffix('.dcp')) for sharded in (False, True))
    if get_rank() == 0:
        found = dict(
            weights=difference(one['model'], other['model'], 1e-3),
            moments=difference(one['optimizer']['state'], other['optimizer']['state'], 1e-8),
            ddp=one['ranks'],
            fsdp=other['ranks'],
        )
        report.write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    main()
