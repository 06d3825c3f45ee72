"""Measures an exported file by the metrics of the model's data set, beside the model itself."""

import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dataset import pseudo_collate
from torch import Tensor

from mask2former.apis.evaluation_parts import build_test_dataset, build_test_evaluator
from mask2former.errors import ConfigError
from mask2former.models.head import HeadOutput
from mask2former.progress import ProgressBar

from .export import relative_difference
from .graph import RawGraph
from .runners import Run, open_file

MEASURED = ('PQ', 'segm_mAP', 'mIoU')


class Verification(NamedTuple):
    """What became of it.

    Attributes:
        metrics: By name, in percent: the model's value and the file's.
        difference: The largest difference of a logit, relative to the largest one of its kind.
        images: How many were compared.
    """

    metrics: dict[str, tuple[float, float]]
    difference: float
    images: int

    def lost(self) -> float:
        """The most that a metric of :data:`MEASURED` lost, in points; negative where all are better."""
        return max(ours - theirs for name, (ours, theirs) in self.metrics.items() if name in MEASURED)


@torch.no_grad()
def verify(model: Any, path: Path, size: tuple[int, int], count: int | None = None) -> Verification:
    """Test the model and the file on the config's test data, each image scaled into the file's size and padded to it.

    Args:
        model: That was exported, with ``cfg`` and ``dataset_meta``.
        path: The file.
        size: (H, W) of the file's input.
        count: So many of the first images; None takes all.

    Raises:
        ConfigError: If the config has no test data with a ``Resize``, or no metric.
        MissingFileError: If the data are absent.
    """
    cfg = copy.deepcopy(model.cfg)
    cfg.test_dataloader.dataset = scaled(cfg.test_dataloader.dataset, size)
    dataset = build_test_dataset(cfg)
    evaluators = [build_test_evaluator(cfg, dataset) for _ in range(2)]
    graph = RawGraph(copy.copy(model)).eval()
    ours = _by(model, lambda image: tuple(x.numpy() for x in graph(torch.from_numpy(image))), size)
    theirs = _by(model, open_file(path), size)
    images, difference = range(len(dataset) if count is None else min(count, len(dataset))), 0.0
    for index in ProgressBar(images, desc='verify'):
        for evaluator, tested in zip(evaluators, (ours, theirs)):
            [sample] = tested.test_step(pseudo_collate([dataset[index]]))
            evaluator.process([sample.cpu()])
        for found, expected in zip(theirs.extract.seen, ours.extract.seen):
            difference = max(difference, relative_difference(found, torch.from_numpy(expected)))
    found, expected = (evaluator.evaluate(len(images)) for evaluator in evaluators[::-1])
    metrics = {name: (float(value), float(found[name])) for name, value in expected.items()}
    if not set(MEASURED) & set(metrics):
        raise ConfigError(f'test_evaluator of the config measures none of {", ".join(MEASURED)}.')
    return Verification(metrics, difference, len(images))


def scaled(dataset: dict, size: tuple[int, int]) -> dict:
    """The config of a data set whose images are scaled into ``size`` (H, W).

    Raises:
        ConfigError: If its pipeline has not one ``Resize``.
    """
    pipeline = list(dataset['pipeline'])
    places = [place for place, step in enumerate(pipeline) if step['type'] == 'Resize']
    if len(places) != 1:
        raise ConfigError(
            'The test pipeline of the config must have one Resize, in whose place the size of the file comes.'
        )
    pipeline[places[0]] = dict(pipeline[places[0]], scale=(size[1], size[0]), keep_ratio=True)
    return dict(dataset, pipeline=pipeline)


class _Extract:
    """Stands in for a model's ``extract``: runs something else, and gives its masks as if they were mask features."""

    def __init__(self, run: Run, mean: Tensor, std: Tensor, size: tuple[int, int]) -> None:
        self.run, self.mean, self.std, self.size = run, mean, std, size
        self.seen: tuple[np.ndarray, ...]

    def __call__(self, inputs: Tensor) -> HeadOutput:
        h, w = inputs.shape[-2:]
        padded = F.pad(inputs, (0, self.size[1] - w, 0, self.size[0] - h))  # (B, 3, H, W); 0 is the mean
        self.seen = self.run((padded * self.std + self.mean).numpy())
        class_logits, masks = map(torch.from_numpy, self.seen)
        B, Q = class_logits.shape[:2]
        rows, columns = (side * cells // whole for side, cells, whole in zip((h, w), masks.shape[-2:], self.size))
        features = masks[..., :rows, :columns].contiguous()  # (B, Q, h', w')
        return HeadOutput(class_logits[None], torch.eye(Q).expand(1, B, Q, Q), features)


def _by(model: Any, run: Run, size: tuple[int, int]) -> Any:
    """The model, whose postprocessors get what something else computed."""
    clone = copy.copy(model)
    preprocessor = model.data_preprocessor
    clone.extract = _Extract(run, preprocessor.mean, preprocessor.std, size)
    clone.projects = lambda device: True
    return clone
