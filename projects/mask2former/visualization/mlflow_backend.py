"""Pictures for MLflow."""

from typing import Any

import numpy as np
from mmengine.visualization import MLflowVisBackend as _MLflowVisBackend
from mmengine.visualization.vis_backend import force_init_env

from mask2former.registry import VISBACKENDS


@VISBACKENDS.register_module()
class MLflowVisBackend(_MLflowVisBackend):
    """mmengine's, whose pictures MLflow refuses, as their names have no ending; here they are kept by name and step."""

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Record a picture.

        Args:
            name: Its name.
            image: (H, W, 3), RGB, uint8.
            step: The iteration.
        """
        self._mlflow.log_image(image, key=name.replace('/', '_'), step=step)
