"""What can be wrong with a checkpoint, in one clear sentence."""

import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from mask2former.errors import CheckpointError, MissingFileError

CLASS_LAYER = 'head.class_embed.weight'  # (K + 1, C)


@contextmanager
def explain_unreadable(filename: str) -> Iterator[None]:
    """Turn the errors of ``torch.load(filename, weights_only=True)`` in this context into clear ones.

    Raises:
        MissingFileError: If there is no such file.
        CheckpointError: If it is no checkpoint, is damaged, or holds more than weights and plain values.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise MissingFileError(f"There is no checkpoint '{filename}': check the path.") from error
    except (pickle.UnpicklingError, EOFError, OSError, RuntimeError) as error:
        message = str(error)
        if isinstance(error, OSError) and error.filename is not None:
            raise  # the file system's own sentence, such as a missing permission
        refused = re.search(r'GLOBAL (\S+)|(attribute \S+ of)|function (\S+)', message)
        if isinstance(error, pickle.UnpicklingError) and refused:
            what = next(group for group in refused.groups() if group).removesuffix(' of')
            raise CheckpointError(
                f"'{filename}' is not loaded, because it holds more than weights and plain values ({what}) and could "
                'run code: take it from whom you trust, and as a state dict.'
            ) from error
        if isinstance(error, RuntimeError) and 'PytorchStreamReader' not in message:
            raise
        raise CheckpointError(
            f"'{filename}' is no checkpoint or is damaged: download, copy or save it again."
        ) from error


def check_fit(model: nn.Module, checkpoint: dict, filename: str, *, partly: bool = False) -> str | None:
    """See that the weights of a checkpoint fill a model. Weights too many do not matter.

    Args:
        model (nn.Module): The model, not wrapped.
        checkpoint (dict): A checkpoint of mmengine, or a state dict.
        filename (str): Where it comes from, for the message.
        partly (bool): Whether a part of the weights is enough. Defaults to False.

    Returns:
        str | None: What does not fit, such as ``it has 133 classes, the model 6``; None where all fits.

    Raises:
        CheckpointError: If the weights do not fit, or, where a part is enough, if none does.
    """
    found = {
        name.removeprefix('module.'): tuple(value.shape)
        for name, value in checkpoint.get('state_dict', checkpoint).items()
        if hasattr(value, 'shape')
    }
    wanted = {
        name: tuple(value.shape)
        for name, value in model.state_dict().items()
        if not name.endswith('num_batches_tracked')
    }
    wrong = [name for name, shape in wanted.items() if found.get(name) != shape]
    if not wrong:
        return None
    classes = [shapes[CLASS_LAYER][0] - 1 for shapes in (found, wanted) if CLASS_LAYER in shapes]
    if len(set(classes)) == 2:
        problem = f'it has {classes[0]} classes, the model {classes[1]}'
    else:
        first = wrong[0]
        shape = f'has the shape {found[first]} instead of {wanted[first]}' if first in found else 'is absent'
        problem = (
            f"{len(wrong)} of the model's {len(wanted)} weights are not in it or of another shape ('{first}' {shape})"
        )
    if not partly or len(wrong) == len(wanted):
        raise CheckpointError(
            f"'{filename}' does not fit the model: {problem}; give the config that it was trained with."
        )
    return problem
