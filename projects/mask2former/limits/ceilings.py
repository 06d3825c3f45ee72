"""How good the results of a config can be at most: the truth, through its postprocessors and metrics."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmdet.structures import DetDataSample
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader, Subset

from mask2former.errors import ConfigError, DataError
from mask2former.evaluation import InstanceAP, show_dataset
from mask2former.evaluation.truth import KnowsTruth, TrueSegment
from mask2former.formats.rle import areas_of
from mask2former.models.mask2former import geometry_of
from mask2former.models.masks import Geometry
from mask2former.models.postprocess import Postprocessor, ViewMerger, merge
from mask2former.registry import DATASETS, METRICS, TASK_UTILS

from .bounds import choose_missed, pq_loss, recall_loss
from .oracle import oracle_view
from .settings import mask_stride, queries_of


@dataclass(frozen=True)
class Limits:
    """What a config lets be found; None where a limit is lifted.

    Attributes:
        num_queries: Of the model.
        max_per_image: Of the instance postprocessor.
        max_dets: Of the instance metric: detections of a class in an image, with ``lvis`` of all classes.
        stride: Of the mask features, in pixels of the input.
    """

    num_queries: int | None = None
    max_per_image: int | None = None
    max_dets: int | None = None
    stride: int | None = None

    def alone_and_together(self) -> dict[str, 'Limits']:
        """No limit, each limit alone, and all of them, by name."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        alone = {f'{name}={value}': Limits(**{name: value}) for name, value in given.items()}
        return {'no limit': Limits(), **alone, **({'all limits': self} if len(given) > 1 else {})}


class MetricCeilings:
    """The ceilings of one metric of a config.

    Args:
        metric: The metric, with its ``dataset_meta``.
        limits: Those of the config.
        postprocessor: Sets what the metric measures.
        divisor: The model pads height and width of its input to multiples of it.
    """

    def __init__(self, metric: Any, limits: Limits, postprocessor: Postprocessor | ViewMerger, divisor: int) -> None:
        self.metric, self.limits = metric, limits
        self.postprocessor = postprocessor
        self.divisor = divisor
        self.counts: list[np.ndarray] = []  # of each image, segments of each class (K,)
        self.variants = limits.alone_and_together()
        self.name = type(metric).__name__

    @property
    def isthing(self) -> tuple[bool, ...]:
        return tuple(self.metric.dataset_meta['isthing'])

    def count(self, truth: dict) -> None:
        """Count the segments of an image; all images are counted before the first is measured."""
        labels = [segment.label for segment in self.metric.true_segments(truth)]
        self.counts.append(np.bincount(labels, minlength=len(self.isthing)))

    def prepare(self) -> None:
        """Choose what every image misses under each set of limits, and set the metrics up."""
        counts = np.stack(self.counts)  # (I, K)
        self.missed = {name: self._missed(limits, counts) for name, limits in self.variants.items()}
        self.metrics = {}
        for name, limits in self.variants.items():
            metric = copy.copy(self.metric)
            metric.results = []
            if isinstance(metric, InstanceAP) and limits.max_dets is None:
                metric.max_dets = (max(1, int(counts.sum(axis=1).max())),)
            self.metrics[name] = metric

    def _missed(self, limits: Limits, counts: np.ndarray) -> np.ndarray | None:
        """The segments ``(I, K)`` of each class that each image misses, such that the metric is highest.

        None of a semantic metric: the smallest are missed.
        """
        given = [limit for limit in (limits.num_queries, limits.max_per_image) if limit is not None]
        if self.metric.predicted == 'pred_sem_seg':
            return None
        if self.metric.predicted == 'pred_panoptic_seg':
            return choose_missed(counts, min(given), pq_loss) if given else np.zeros_like(counts)
        capped = counts
        if limits.max_dets is not None:
            if getattr(self.metric, 'lvis', False):
                given.append(limits.max_dets)
            else:
                capped = np.minimum(counts, limits.max_dets)
        missed = counts - capped
        return missed + choose_missed(capped, min(given), recall_loss) if given else missed

    def measure(self, index: int, truth: dict, geometry: Geometry) -> None:
        """Measure an image: the truth as a decoder output, postprocessed under each set of limits."""
        segments = self.metric.true_segments(truth)
        areas = np.array(areas_of([segment.mask for segment in segments]), dtype=np.int64)
        by_area = np.argsort(-areas, kind='stable').tolist()
        known: dict[tuple, dict] = {}
        for name, limits in self.variants.items():
            missed = self.missed[name]
            order = by_area if missed is None else _missed_last(segments, by_area, missed[index])
            found = tuple(order[: limits.num_queries])
            key = found, limits.max_per_image, limits.stride
            if key not in known:
                known[key] = self._predict([segments[i] for i in found], limits, geometry)
            self.metrics[name].process(None, [{**truth, **known[key]}])

    def _predict(self, segments: Sequence[TrueSegment], limits: Limits, geometry: Geometry) -> dict:
        postprocessor = copy.copy(self.postprocessor)
        if hasattr(postprocessor, 'max_per_image'):
            # Beyond the segments there are but pairs of a query with a class that it does not have, of the score 0.
            given = len(segments) if limits.max_per_image is None else limits.max_per_image
            postprocessor.max_per_image = max(1, min(given, len(segments)))
        sample = DetDataSample()
        view = oracle_view(segments, len(self.isthing), geometry, limits.stride, self.divisor)
        merge([postprocessor], [view], self.isthing, sample, None)
        return sample.to_dict()

    def results(self) -> dict[str, dict[str, float]]:
        """The metrics under each set of limits."""
        return {
            name: {key: float(value) for key, value in metric.evaluate(len(self.counts)).items()}
            for name, metric in self.metrics.items()
        }


def _missed_last(segments: Sequence[TrueSegment], by_area: Sequence[int], missed: np.ndarray) -> list[int]:
    """The positions of an image's segments, the smallest of each class, so many as are missed ``(K,)``, last."""
    left = missed.tolist()
    found: list[int] = []
    last: list[int] = []
    for index in reversed(by_area):
        label = segments[index].label
        left[label] -= 1
        (last if left[label] >= 0 else found).append(index)
    return found[::-1] + last[::-1]


def find_ceilings(
    cfg: Mapping,
    split: str = 'val',
    images: int | None = None,
    jobs: int = 0,
    progress: Callable[[Iterable, str], Iterable] = lambda samples, text: samples,
) -> dict[str, dict[str, dict[str, float]]]:
    """Measure what the metrics of a config can reach at most.

    The data set is read twice: what an image may miss depends on the other images, as PQ and AP are means of classes.

    Args:
        cfg: The config.
        split: 'val' or 'test'.
        images: Only so many of the first images.
        jobs: Processes that read images.
        progress: Wraps an iterable of known length; gets it and what is done.

    Returns:
        dict: Of each metric by the name of its type, of each set of limits, the metric's values.

    Raises:
        ConfigError: The config lacks a part that is needed, or has no metric whose truth is known.
        DataError: The split has no image.
    """
    init_default_scope(cfg.get('default_scope', 'mask2former'))
    if not cfg.get(f'{split}_dataloader') or not cfg.get(f'{split}_evaluator'):
        raise ConfigError(f'The config has no {split}_dataloader or no {split}_evaluator: choose another split.')
    dataset = DATASETS.build(cfg[f'{split}_dataloader']['dataset'])
    ceilings = _build(cfg, cfg[f'{split}_evaluator'], dataset)
    total = len(dataset) if images is None else min(images, len(dataset))
    if total == 0:
        raise DataError(f'The {split} set has no image.')
    loader = DataLoader(Subset(dataset, range(total)), batch_size=None, num_workers=jobs, collate_fn=_without_image)
    for truth, _ in progress(loader, 'counting'):
        for ceiling in ceilings:
            ceiling.count(truth)
    for ceiling in ceilings:
        ceiling.prepare()
    for index, (truth, geometry) in enumerate(progress(loader, 'measuring')):
        for ceiling in ceilings:
            ceiling.measure(index, truth, geometry)
    return {ceiling.name: ceiling.results() for ceiling in ceilings}


def _without_image(item: Any) -> tuple[dict, Geometry]:
    """The truth of an item of a test set, as metrics get it, and its sizes."""
    sample = item['data_samples']
    return sample.to_dict(), geometry_of(sample)


def _build(cfg: Mapping, evaluator: Any, dataset: BaseDataset) -> list[MetricCeilings]:
    postprocessors = [
        TASK_UTILS.build(part) for part in cfg['model'].get('postprocessors', {}).values() if part is not None
    ]
    isthing = tuple(dataset.metainfo['isthing'])
    of_field = {field: part for part in postprocessors for field in _fields_of(part, isthing)}
    model = cfg['model']
    built = []
    for part in [evaluator] if isinstance(evaluator, Mapping) else evaluator:
        metric = METRICS.build({key: value for key, value in part.items() if key != 'classwise'})
        metric.dataset_meta = dataset.metainfo
        show_dataset([metric], dataset)
        if not isinstance(metric, KnowsTruth):
            continue
        if metric.predicted not in of_field:
            raise ConfigError(
                f"{type(metric).__name__} measures '{metric.predicted}', which none of model.postprocessors gives: add "
                'one that does, or leave the metric out.'
            )
        postprocessor = of_field[metric.predicted]
        limits = Limits(
            num_queries=queries_of(model),
            max_per_image=getattr(postprocessor, 'max_per_image', None),
            max_dets=max(metric.max_dets) if isinstance(metric, InstanceAP) else None,
            stride=mask_stride(model),
        )
        divisor = (model.get('data_preprocessor') or {}).get('size_divisor', 32)
        built.append(MetricCeilings(metric, limits, postprocessor, divisor))
    if not built:
        raise ConfigError('The config has no metric of this package, whose truth is known.')
    for number, ceiling in enumerate(built):
        ceiling.name += f' {number + 1}' if ceiling.name in [other.name for other in built[:number]] else ''
    return built


def _fields_of(postprocessor: Postprocessor | ViewMerger, isthing: tuple[bool, ...]) -> set[str]:
    """The fields of a data sample that a postprocessor sets."""
    geometry = Geometry(img_shape=(8, 8), ori_shape=(8, 8), flips=(False, False))
    sample = DetDataSample()
    merge([postprocessor], [oracle_view([], len(isthing), geometry, None)], isthing, sample, None)
    return set(sample.keys())
