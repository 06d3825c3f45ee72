"""Training images that show which values a model computes with."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.dataset import pseudo_collate

from mask2former.apis.evaluation_parts import build_test_dataset

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
    train = cfg.train_dataloader.dataset
    test = cfg.test_dataloader.dataset
    pipeline = (scaled(test, size) if size else test)['pipeline']
    cfg.test_dataloader.dataset = dict(train, pipeline=pipeline)
    dataset = build_test_dataset(cfg)
    preprocessor = model.data_preprocessor
    for index in np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round():
        inputs = preprocessor(pseudo_collate([dataset[int(index)]]))['inputs']  # (1, 3, h, w), normalised
        yield pixels(preprocessor, padded(preprocessor, inputs, size)).numpy()
