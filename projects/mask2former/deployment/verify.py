"""Measures an exported file by the metrics of the model's data set, beside the model as its users run it."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from mask2former.apis.evaluation_parts import build_test_dataset, build_test_evaluator
from mask2former.errors import ConfigError
from mask2former.formats.rle import encode_masks
from mask2former.models.head import HeadOutput
from mask2former.progress import ProgressBar

from .export import relative_difference
from .graph import RawGraph
from .preparation import Size, padded, pixels
from .runners import Run, open_file, read_metadata

MEASURED = ('PQ', 'segm_mAP', 'mIoU')
Test = Callable[[int], DetDataSample]  # of an image of the data set the sample, with results


class Verification(NamedTuple):
    """What became of it.

    Attributes:
        metrics: By name, in percent: the model's value and the file's.
        images: How many were compared.
        difference: The largest difference of a logit, for the same input, relative to the largest one of its kind; None
            of a file of results.
        at_size: The metrics of the model itself with the inputs of a file of one size; None for other files.
    """

    metrics: dict[str, tuple[float, float]]
    images: int
    difference: float | None = None
    at_size: dict[str, float] | None = None

    def lost(self) -> float:
        """The most that a metric of :data:`MEASURED` lost, in points; negative where all are better."""
        return max(ours - theirs for name, (ours, theirs) in self.metrics.items() if name in MEASURED)

    def cost_of_size(self) -> dict[str, float]:
        """The points that each of :data:`MEASURED` loses by the file's fixed size alone; empty where that is free."""
        fixed = self.at_size or {}
        return {name: self.metrics[name][0] - fixed[name] for name in MEASURED if name in fixed}


@torch.no_grad()
def verify(model: Any, path: Path, size: Size, count: int | None = None) -> Verification:
    """Test model and file on the config's test data: the model as the config says, the file with its own inputs.

    Of a file of one size these are images that are scaled into it and padded to it.

    Args:
        model: That was exported, with ``cfg`` and ``dataset_meta``.
        path: The file.
        size: (H, W) of the file's input; None if it takes any.
        count: So many of the first images; None takes all.

    Raises:
        ConfigError: If the config has no metric, or, for a file of one size, no test data with a ``Resize``.
        MissingFileError: If the data are absent.
    """
    dataset = build_test_dataset(model.cfg)
    inputs = dataset if size is None else build_test_dataset(_changed(model.cfg, scaled, size))
    graph = RawGraph(copy.copy(model)).eval()
    ours = _by(model, lambda image: tuple(x.numpy() for x in graph(torch.from_numpy(image))), size)
    theirs = _by(model, open_file(path), size)
    differences = [0.0]

    def test_file(index: int) -> DetDataSample:
        sample = _tested(theirs, inputs)(index)
        pairs = zip(theirs.extract.seen, ours.extract.seen)
        differences.append(max(relative_difference(found, torch.from_numpy(expected)) for found, expected in pairs))
        return sample

    tests = dict(model=_tested(model, dataset), same_inputs=_tested(ours, inputs), file=test_file)
    if size is None and model.sliding_window is None:  # then the inputs are the same anyway
        tests['model'] = tests.pop('same_inputs')
    found = _measure(model.cfg, dataset, tests, count)
    at_size = found.get('same_inputs') if size else None
    return Verification(_beside(found), _count(dataset, count), max(differences), at_size)


@torch.no_grad()
def verify_results(model: Any, path: Path, count: int | None = None) -> Verification:
    """As :func:`verify`, of a file that takes photographs and gives results."""
    dataset, photographs = (build_test_dataset(cfg) for cfg in (model.cfg, _changed(model.cfg, _without_resize)))
    names, run = read_metadata(path)['results'], open_file(path)

    def test_file(index: int) -> DetDataSample:
        item = photographs[index]
        image = item['inputs'].permute(1, 2, 0).numpy()  # (H, W, 3) BGR
        sample = item['data_samples']
        set_results(sample, dict(zip(names, run(np.ascontiguousarray(image[..., ::-1])))), model.isthing)
        return sample

    found = _measure(model.cfg, dataset, dict(model=_tested(model, dataset), file=test_file), count)
    return Verification(_beside(found), _count(dataset, count))


def set_results(sample: DetDataSample, outputs: Mapping[str, np.ndarray], isthing: tuple[bool, ...]) -> None:
    """Set the outputs of a file of results, by name, on a data sample, as postprocessors do."""
    if 'panoptic' in outputs:
        pairs = zip(outputs['segment_labels'].tolist(), outputs['segment_scores'].tolist())
        infos = [
            dict(id=place, label=label, isthing=isthing[label], score=score)
            for place, (label, score) in enumerate(pairs, start=1)
        ]
        sample.pred_panoptic_seg = PixelData(id_map=torch.from_numpy(outputs['panoptic'])[None])
        sample.pred_panoptic_seg.set_metainfo(dict(segments_info=infos))
    if 'instance_masks' in outputs:
        labels, scores, boxes = (
            torch.from_numpy(outputs[f'instance_{name}']) for name in ('labels', 'scores', 'boxes')
        )
        masks = encode_masks(outputs['instance_masks'])
        sample.pred_instances = InstanceData(labels=labels, scores=scores, bboxes=boxes, masks=masks)
    if 'semantic' in outputs:
        sample.pred_sem_seg = PixelData(sem_seg=torch.from_numpy(outputs['semantic'])[None].long())


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


def _without_resize(dataset: dict) -> dict:
    return dict(dataset, pipeline=[step for step in dataset['pipeline'] if step['type'] != 'Resize'])


def _changed(cfg: Config, change: Callable[..., dict], *arguments: object) -> Config:
    """The config with another data set to test on."""
    cfg = copy.deepcopy(cfg)
    cfg.test_dataloader.dataset = change(cfg.test_dataloader.dataset, *arguments)
    return cfg


def _count(dataset: BaseDataset, count: int | None) -> int:
    return len(dataset) if count is None else min(count, len(dataset))


def _measure(
    cfg: Config, dataset: BaseDataset, tests: Mapping[str, Test], count: int | None
) -> dict[str, dict[str, float]]:
    """The metrics of each test, in percent.

    Raises:
        ConfigError: If they are none of :data:`MEASURED`.
    """
    evaluators = {name: build_test_evaluator(cfg, dataset) for name in tests}
    images = range(_count(dataset, count))
    for index in ProgressBar(images, desc='verify'):
        for name, test in tests.items():
            evaluators[name].process([test(index).cpu()])
    found = {
        name: {metric: float(value) for metric, value in evaluator.evaluate(len(images)).items()}
        for name, evaluator in evaluators.items()
    }
    if not set(MEASURED) & set(found['model']):
        raise ConfigError(f'test_evaluator of the config measures none of {", ".join(MEASURED)}.')
    return found


def _beside(found: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Of each metric the model's value and the file's."""
    return {name: (value, found['file'][name]) for name, value in found['model'].items()}


def _tested(model: Any, dataset: BaseDataset) -> Test:
    return lambda index: model.test_step(pseudo_collate([dataset[index]]))[0]


class _Extract:
    """Stands in for a model's ``extract``: runs something else, and gives its masks as if they were mask features."""

    def __init__(self, run: Run, preprocessor: Any) -> None:
        self.run, self.preprocessor = run, preprocessor
        self.seen: tuple[np.ndarray, ...]

    def __call__(self, inputs: Tensor) -> HeadOutput:
        self.seen = self.run(pixels(self.preprocessor, inputs).numpy())
        class_logits, masks = map(torch.from_numpy, self.seen)
        B, Q = class_logits.shape[:2]
        return HeadOutput(class_logits[None], torch.eye(Q).expand(1, B, Q, Q), masks)


def _by(model: Any, run: Run, size: Size) -> Any:
    """The model, whose postprocessors get what something else computed of images padded to ``size``."""
    clone = copy.copy(model)
    clone.extract = _Extract(run, model.data_preprocessor)
    clone.projects = lambda device: True
    clone.sliding_window = None  # a file sees images as a whole
    clone.views = lambda inputs, samples: type(model).views(
        clone, padded(model.data_preprocessor, inputs, size), samples
    )
    return clone
