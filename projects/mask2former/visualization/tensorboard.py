"""TensorBoard's curves and pictures, where it is installed."""

import importlib.util
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.visualization import TensorboardVisBackend

from mask2former.registry import VISBACKENDS


@VISBACKENDS.register_module()
class TensorboardIfInstalled(TensorboardVisBackend):
    """Writes TensorBoard's files beside the logs if ``tensorboard`` is installed; else it does nothing.

    The files are begun with the first value, so that a test writes none.

    Args:
        save_dir: Folder of the files.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir)
        self._installed = importlib.util.find_spec('tensorboard') is not None

    def add_config(self, config: Config, **options: Any) -> None:
        """Nothing: the config lies beside the files."""

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **options: Any) -> None:
        """Write a picture (H, W, 3) uint8 RGB."""
        if self._installed:
            super().add_image(name, image, step)

    def add_scalar(
        self, name: str, value: int | float | torch.Tensor | np.ndarray | np.number, step: int = 0, **options: Any
    ) -> None:
        """Write a value."""
        if self._installed:
            super().add_scalar(name, value, step)  # type: ignore[arg-type]  # it takes np.number, too

    def add_scalars(self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **options: Any) -> None:
        """Write values of one step; those that are no numbers are left out."""
        for name, value in scalar_dict.items():
            if isinstance(value, (int, float, torch.Tensor, np.ndarray, np.number)):
                self.add_scalar(name, value, step)
