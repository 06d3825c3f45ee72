"""Whether the weights of a checkpoint fill a model."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from mmengine.dist import all_gather_object
from torch import Tensor, nn

from mask2former.errors import CheckpointError

from .shards import is_sharded, local_part, shard_like

CLASS_LAYER = 'head.class_embed.weight'  # (K + 1, C)
QUERIES = ('head.query_embed.weight', 'head.query_feat.weight')  # (Q, C)


def check_fit(model: nn.Module, checkpoint: Mapping, filename: str, *, partly: bool = False) -> str | None:
    """See that the weights of a checkpoint fill a model. Weights too many do not matter.

    Args:
        model: The model, not wrapped.
        checkpoint: A checkpoint of mmengine, or a state dict.
        filename: Where it comes from, for the message.
        partly: Whether a part of the weights is enough.

    Returns:
        What does not fit, such as ``it has 133 classes, the model 6``; None where all fits.

    Raises:
        CheckpointError: If the weights do not fit, or, where a part is enough, if none does.
    """
    given = {
        name.removeprefix('module.'): tuple(value.shape)
        for name, value in checkpoint.get('state_dict', checkpoint).items()
        if hasattr(value, 'shape')
    }
    wanted = {
        name: tuple(value.shape)
        for name, value in model.state_dict().items()
        if not name.endswith('num_batches_tracked')
    }
    wrong = [name for name, shape in wanted.items() if given.get(name) != shape]
    if not wrong:
        return None
    classes = [shapes[CLASS_LAYER][0] - 1 for shapes in (given, wanted) if CLASS_LAYER in shapes]
    queries = [shapes[QUERIES[0]][0] for shapes in (given, wanted) if QUERIES[0] in shapes]
    if len(set(classes)) == 2:
        problem = f'it has {classes[0]} classes, the model {classes[1]}'
    elif len(set(queries)) == 2 and set(wrong) <= set(QUERIES):
        problem = f'it has {queries[0]} queries, the model {queries[1]} (head.num_queries)'
    else:
        first = wrong[0]
        shape = f'has the shape {given[first]} instead of {wanted[first]}' if first in given else 'is absent'
        problem = (
            f"{len(wrong)} of the model's {len(wanted)} weights are not in it or of another shape ('{first}' {shape})"
        )
    if not partly or len(wrong) == len(wanted):
        raise CheckpointError(
            f"'{filename}' does not fit the model: {problem}; give the config that it was trained with."
        )
    return problem


def load_fitting(
    model: nn.Module, state: Mapping[str, Any], filename: str, *, partly: bool = False
) -> tuple[str | None, list[str]]:
    """Load the weights that have a place of their shape in a model.

    Args:
        model: The model, not wrapped.
        state: A state dict.
        filename: Where it comes from, for the message.
        partly: Whether a part of the weights is enough.

    Returns:
        What :func:`check_fit` says of it, and the names of weights that the model does not have.

    Raises:
        CheckpointError: If the weights do not fit, or, where a part is enough, if none does; nothing is loaded then.
    """
    problem = check_fit(model, state, filename, partly=partly)
    own = model.state_dict()
    given = {name: value for name, value in state.items() if hasattr(value, 'shape')}
    fitting = OrderedDict(
        (name, shard_like(value, own[name]))
        for name, value in given.items()
        if name in own and own[name].shape == value.shape
    )
    if hasattr(state, '_metadata'):  # versions of modules, by which some know old weights
        fitting._metadata = state._metadata  # type: ignore[attr-defined]
    model.load_state_dict(fitting, strict=False)
    return problem, [name for name in given if name not in own]


def spoilt(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that have a value that is not finite, where they are sharded in the part of this process."""
    floating = {name: local_part(value) for name, value in tensors.items() if value.is_floating_point()}
    return [name for name, value in floating.items() if not value.isfinite().all()]


def spoilt_in_process(model: nn.Module) -> list[str]:
    """As :func:`spoilt_weights`, but of a sharded model only what this process has."""
    statistics = {n: b for n, b in model.named_buffers() if n.endswith(('running_mean', 'running_var'))}
    return spoilt({**dict(model.named_parameters()), **statistics})


def spoilt_weights(model: nn.Module) -> list[str]:
    """Names of a model's weights and statistics that have a value that is not finite; its masks may have such.

    If it is sharded, all processes must ask for it, and learn the same.
    """
    names = spoilt_in_process(model)
    return sorted({name for part in all_gather_object(names) for name in part}) if is_sharded(model) else names


def check_finite(model: nn.Module, filename: str) -> None:
    """See that the weights that a model was given are finite.

    Raises:
        CheckpointError: If one is NaN or infinite.
    """
    if names := spoilt_weights(model):
        raise CheckpointError(
            f"'{filename}' has {len(names)} weights that are NaN or infinite, first '{names[0]}': its training went "
            'astray; give an earlier checkpoint.'
        )
