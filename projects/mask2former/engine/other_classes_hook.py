"""Starts a training from a checkpoint of other classes."""

from collections.abc import Mapping, Sequence

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mask2former.checkpoints.class_transfer import CLASSIFIER, transfer_classes
from mask2former.checkpoints.schemes import PREFIX
from mask2former.checkpoints.zoo import config_of_weights
from mask2former.datasets import config_metainfo
from mask2former.errors import CheckpointError

from .unwrap import unwrap_model


class OtherClassesHook(Hook):
    """Lets a training start from a checkpoint of other classes, and logs a table of what is loaded.

    ``SegRunner`` has it where its config says ``load_from``.

    Args:
        copy_equal: Whether the classifier's rows of classes with equal names are taken over.
    """

    def __init__(self, copy_equal: bool = False) -> None:
        self.copy_equal = copy_equal

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Change the classifier of what was read.

        Raises:
            CheckpointError: If rows are to be copied and the checkpoint does not say its classes.
        """
        model = unwrap_model(runner.model)
        ours = getattr(model, 'classes', None)
        if not ours:
            return
        state = checkpoint.get('state_dict', checkpoint)
        theirs = classes_of(checkpoint, str(runner._load_from))
        try:
            with torch.no_grad():
                table = transfer_classes(state, model.state_dict(), theirs, ours, copy_equal=self.copy_equal)
        except ValueError as error:
            raise CheckpointError(
                f"'{runner._load_from}' {error}, so that their rows cannot be copied: leave out "
                'load_equal_classes, or convert it with --config, which adds them.'
            ) from error
        if table is not None:
            runner.logger.warning(f"Of '{runner._load_from}' only a part is loaded: it has other classes.\n{table}")


def classes_of(checkpoint: Mapping, address: str) -> Sequence[str] | None:
    """The classes of a checkpoint: what it says, or else those of the model zoo's model that it is; None where neither
    does, as a file may have the name of another."""
    data = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    if data.get('classes'):
        return data['classes']
    config = config_of_weights(address.removeprefix(PREFIX))
    rows = checkpoint.get('state_dict', checkpoint).get(CLASSIFIER[1])
    if config is None or rows is None:
        return None
    classes = config_metainfo(Config.fromfile(config))['classes']
    return classes if len(classes) + 1 == len(rows) else None
