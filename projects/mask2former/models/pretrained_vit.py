"""Weights of a whole vision transformer for EoMT's two parts: the backbone has its first blocks, the head its last."""

import math
import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModule, PretrainedInit
from mmengine.model.weight_init import update_init_info
from torch import Tensor
from torch.nn import Module

from mask2former.errors import CheckpointError, ConfigError


def wants_weights(module: BaseModule) -> bool:
    """Whether ``init_cfg`` of a module is ``Pretrained``."""
    return isinstance(module.init_cfg, dict) and module.init_cfg['type'] in ('Pretrained', PretrainedInit)


def load_vit(module: BaseModule, *, last: bool) -> None:
    """Fill a module's blocks, and what it has of patches, tokens, positions and the norm, as ``init_cfg`` says.

    Args:
        module: A :class:`PlainViT` or an :class:`EncoderOnlyHead`.
        last: Whether its blocks are the last ones of the file, and not the first.

    Raises:
        MissingFileError: If there is no such file.
        CheckpointError: If it is no vision transformer, or not of this one's sizes.
    """
    from mask2former.checkpoints.backbones import read_backbone

    address = module.init_cfg['checkpoint']
    state, report = read_backbone(address.removeprefix('backbone://'))
    own = module.state_dict()
    numbers = [int(match[1]) for name in state if (match := re.match(r'blocks\.(\d+)\.', name))]
    blocks: int = len(module.blocks)  # type: ignore[arg-type]
    first = max(numbers, default=-1) + 1 - blocks if last else 0
    state = _renumbered(state, first)
    for name, fit in (('patch_embed.weight', resize_patches), ('positions', _resize_positions)):
        if name in state and name in own and state[name].ndim == 4:
            state[name] = fit(state[name], tuple(own[name].shape[-2:]))
    wanted = [name for name in own if not last or name.startswith(('blocks.', 'norm.'))]
    wrong = [name for name in wanted if name not in state or state[name].shape != own[name].shape]
    if wrong or ('positions' in state) != ('positions' in own) and not last:
        name = wrong[0] if wrong else 'positions'
        shapes = [tuple(x[name].shape) if name in x else 'none' for x in (state, own)]
        raise CheckpointError(
            f"'{address}' does not fit the {type(module).__name__}: '{name}' is {shapes[0]} in it and {shapes[1]} in "
            'the model; give the weights of the same vision transformer.'
        )
    module.load_state_dict({name: state[name] for name in wanted}, strict=False)
    print_log(f"{type(module).__name__}: {len(wanted)} weights are from '{address}' ({report.kind}).", 'current')
    if hasattr(module, '_params_init_info'):  # there while a whole model is initialised: the log says who did it
        update_init_info(module, init_info=f'loaded from {address}')
    module.is_init = True
    module.pretrained_blocks = range(first, first + blocks)


def check_parts(backbone: Module, head: Module) -> None:
    """See that the head's pretrained blocks follow the backbone's: each was filled without a look at the other.

    Raises:
        ConfigError: If a block is in both or in none.
    """
    ours, theirs = (getattr(part, 'pretrained_blocks', None) for part in (backbone, head))
    if ours is None or theirs is None or ours.stop == theirs.start:
        return
    raise ConfigError(
        f'The backbone has the first {len(ours)} blocks of the pretrained transformer and the head its last '
        f'{len(theirs)}, but it has {theirs.stop}: set model.backbone.num_layers to {theirs.start}.'
    )


def _renumbered(state: Mapping[str, Tensor], first: int) -> dict[str, Tensor]:
    """The weights with the blocks counted from the ``first`` on."""
    result = {}
    for name, value in state.items():
        match = re.match(r'blocks\.(\d+)\.(.*)', name)
        result[name if match is None else f'blocks.{int(match[1]) - first}.{match[2]}'] = value
    return result


def _resize_positions(positions: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(positions.shape[-2:]) == size:
        return positions
    return F.interpolate(positions.float(), size, mode='bicubic', antialias=True).to(positions.dtype)


def resize_patches(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """The embedding of patches of another size (FlexiViT, arXiv 2212.08013, equation 4).

    Of all embeddings, that whose products with patches that were resized (bicubic, smoothed) are nearest to those of
    the given one with the patches as they were.

    Args:
        weight: (C, 3, h, w).
        size: Height and width of the new patches.

    Returns:
        Tensor: (C, 3, *size).
    """
    old = tuple(weight.shape[-2:])
    if old == size:
        return weight
    pixels = torch.eye(math.prod(old), dtype=torch.float64).view(-1, 1, *old)
    resized = F.interpolate(pixels, size, mode='bicubic', antialias=True).flatten(1)  # (old pixels, new pixels)
    new = weight.double().flatten(2) @ torch.linalg.pinv(resized).T  # (C, 3, new pixels)
    return new.unflatten(2, size).to(weight.dtype)
