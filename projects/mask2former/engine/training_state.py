"""What a checkpoint must hold beside weights so that a training can go on from it; looked at before it is taken."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mask2former.formats.coco_values import is_number
from mask2former.formats.fields import Fields, is_count, is_table, wrong_field

# Moments that have the shape of their weight, by their names in torch's optimizers, which do not look: their kernels
# would write past the end of shorter ones.
MOMENTS = ('exp_avg', 'exp_avg_sq', 'max_exp_avg_sq', 'momentum_buffer', 'exp_inf', 'square_avg', 'grad_avg', 'sum')


def _tables(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_table, value))


def _is_patience(value: Any) -> bool:
    return is_table(value) and isinstance(value.get('best_score'), int | float) and is_count(value.get('wait_count'))


WEIGHTS: Fields = {'state_dict?': is_table, 'meta?': is_table, 'meta.dataset_meta?': is_table}
TRAINING: Fields = {
    'state_dict': is_table,
    'meta': is_table,
    'meta.iter': is_count,
    'meta.epoch': is_count,
    'meta.seed?': lambda value: is_count(value) and value < 2**32,
    'meta.sampler_seed?': is_count,
    'meta.early_stopping?': lambda value: is_table(value) and all(map(_is_patience, value.values())),
    'meta.time_limit?': lambda value: (
        is_table(value) and is_number(value.get('seconds')) and is_count(value.get('max_iters'))
    ),
    'meta.train_seconds?': is_number,
    'message_hub': is_table,
    'message_hub.log_scalars': is_table,
    'message_hub.runtime_info': is_table,
    'message_hub.resumed_keys': is_table,
    'optimizer': is_table,
    'optimizer.state': is_table,
    'optimizer.param_groups': _tables,
    'optimizer.base_param_settings?': lambda value: isinstance(value, dict) and is_number(value.get('lr')),
    'optimizer.accumulated?': lambda value: isinstance(value, list),
    'optimizer.loss_scaler?': lambda value: isinstance(value, dict) and all(map(is_number, value.values())),
    'param_schedulers?': _tables,
    'ema_state_dict?': lambda value: is_table(value) and all(isinstance(mean, Tensor) for mean in value.values()),
}
SCHEDULE: Fields = {
    'last_step': lambda value: isinstance(value, int) and -1 <= value < 2**53,
    '_global_step': lambda value: isinstance(value, int) and -1 <= value < 2**53,
    '_last_value': lambda value: isinstance(value, list) and all(map(is_number, value)),
}


def checkpoint_fault(checkpoint: dict, resumes: bool) -> str | None:
    """What of a checkpoint is not as it must be.

    Args:
        checkpoint: Its content.
        resumes: Whether a training is to go on from it; otherwise only its weights are wanted.

    Returns:
        The name of a field, with dots; None if nothing is wrong.
    """
    field = wrong_field(checkpoint, {**WEIGHTS, **(TRAINING if resumes else {})})
    if field is not None:
        return field
    if not resumes:
        return None
    weights = checkpoint['state_dict']
    for name, mean in (checkpoint.get('ema_state_dict') or {}).items():
        of = weights.get(str(name).removeprefix('module.'))
        if of is not None and not _fits(mean, of):
            return f'ema_state_dict.{name}'
    for number, schedule in enumerate(checkpoint.get('param_schedulers') or ()):
        for key, fits in SCHEDULE.items():
            if key in schedule and not fits(schedule[key]):
                return f'param_schedulers.{number}.{key}'
    return None


def optimizer_fault(state: dict, groups: Sequence[dict]) -> str | None:
    """What of the state of an optimizer wrapper does not belong to the weights of its parameter groups."""
    parameters = [parameter for group in groups for parameter in group['params']]
    for index, moments in state['state'].items():
        if not (is_count(index) and index < len(parameters) and isinstance(moments, dict)):
            return f'it has moments of a weight {index!r:.50}, and there are {len(parameters)} weights'
        for name in MOMENTS:
            if moments.get(name) is not None and not _fits(moments[name], parameters[index]):
                return f'{name} of weight {index} has another shape than the weight, {tuple(parameters[index].shape)}'
    gradients = state.get('accumulated') or [None] * len(parameters)
    if len(gradients) != len(parameters):
        return f'it has {len(gradients)} gradients, and there are {len(parameters)} weights'
    for index, (gradient, parameter) in enumerate(zip(gradients, parameters)):
        if gradient is not None and not _fits(gradient, parameter):
            return f'the gradient of weight {index} has another shape than the weight, {tuple(parameter.shape)}'
    theirs, ours = ([_size(group) for group in each] for each in (state['param_groups'], groups))
    if theirs != ours:
        return f'it is of {sum(theirs)} weights in {len(theirs)} groups, not of {sum(ours)} in {len(ours)}'
    return None


def _size(group: dict) -> int:
    """How many weights a group has; -1 of what is none."""
    return len(group['params']) if isinstance(group.get('params'), list) else -1


def _fits(value: Any, parameter: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == parameter.shape
