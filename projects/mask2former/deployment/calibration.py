"""Training images that show which values a model computes with."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.dataset import pseudo_collate

from mask2former.apis.evaluation_parts import build_train_dataset_as_tested, spread_over

from .preparation import Size, padded, pixels
from .verify import scaled


def calibration_images(model: Any, size: Size, count: int = 16) -> Iterator[np.ndarray]:
    """Inputs (1, 3, H, W) float32 from 0 to 255 of training images, of ``size`` (H, W), from all over the set.

    None is as the config prepares them for a test.

    Args:
        model: With ``cfg``, whose training data are there.
        size: Of the file's input.
        count: Images; fewer where there are not so many.

    Raises:
        ConfigError: If the config's test pipeline has not one ``Resize``.
        MissingFileError: If the data are absent.
    """
    cfg = copy.deepcopy(model.cfg)
    if size:
        cfg.test_dataloader.dataset = scaled(cfg.test_dataloader.dataset, size)
    dataset = build_train_dataset_as_tested(cfg)
    preprocessor = model.data_preprocessor
    for index in spread_over(dataset, count):
        inputs = preprocessor(pseudo_collate([dataset[index]]))['inputs']  # (1, 3, h, w), normalised
        yield pixels(preprocessor, padded(preprocessor, inputs, size)).numpy()
