"""What several processes log are the losses of all their images."""

from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor


class MeanLossHook(Hook):
    """Puts the means over the processes in the place of the losses of each, before they are logged.

    Their denominators are those of all processes, so that the means are what one process with all images would log.
    """

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Share the losses, in one collective."""
        names = [name for name, value in (outputs or {}).items() if isinstance(value, Tensor)]
        if runner.world_size == 1 or not names or outputs is None:
            return
        means = torch.stack([outputs[name].detach() for name in names])
        all_reduce(means, op='mean')
        outputs.update(zip(names, means))
