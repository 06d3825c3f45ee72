"""Tensors of which each process holds a part (PyTorch's DTensor, as FSDP makes them), in and out of a checkpoint."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from mmengine.dist import is_main_process
from torch import Tensor, nn


def is_shard(value: Any) -> bool:
    """Whether this is a part of a tensor whose other parts are held by other processes."""
    return isinstance(value, Tensor) and hasattr(value, 'device_mesh')  # asked so, its module need not be imported


def is_sharded(model: nn.Module) -> bool:
    """Whether a model, wrapped or not, holds parts of its weights: of all of them or of none."""
    return is_shard(next(model.parameters(), None))


def local_part(value: Tensor) -> Tensor:
    """What this process holds of a tensor: a part, which may be empty, or all of it."""
    return value.to_local() if is_shard(value) else value  # type: ignore[attr-defined]


def whole(value: Tensor) -> Tensor | None:
    """The whole tensor, on the CPU of the first process, and None in the others; all of them must ask for it."""
    shard: Any = value.detach()
    full = shard.to(shard.device_mesh.device_type).full_tensor()
    return full.cpu() if is_main_process() else None


def shard_like(full: Tensor, own: Tensor) -> Tensor:
    """This process's part of a whole tensor, which all processes have, in memory of its own.

    Args:
        full: The whole tensor.
        own: What is sharded already, of the same shape; where it is not sharded, the result is ``full`` on its device.

    Returns:
        Of the type of ``full``, on the device of ``own``.
    """
    if not is_shard(own):
        return full.to(own.device)
    from torch.distributed.tensor import distribute_tensor

    with torch.no_grad():
        mesh, placements = own.device_mesh, own.placements  # type: ignore[attr-defined]
        part = distribute_tensor(full.detach(), mesh, placements, src_data_rank=None)  # without communication
        # A copy: the part is a view of the whole, which would be kept with it.
        return torch.empty_like(own, dtype=full.dtype, requires_grad=False).copy_(part)


def replace_shards(content: Any, replace: Callable[[tuple, Tensor], Any], path: tuple = ()) -> Any:
    """Nested dicts with something else in the place of each part of a tensor, called with its keys; a copy."""
    if isinstance(content, dict):
        changed = copy.copy(content)
        for key, value in content.items():
            changed[key] = replace_shards(value, replace, (*path, key))
        return changed
    return replace(path, content) if is_shard(content) else content
