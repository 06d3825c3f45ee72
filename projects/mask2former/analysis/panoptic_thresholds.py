"""Which thresholds of panoptic fusion suit a model, found on images with annotations."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from mmdet.structures import DetDataSample
from mmengine.dataset import BaseDataset, pseudo_collate
from torch import Tensor

from mask2former.apis.evaluation_parts import spread_over
from mask2former.errors import ConfigError
from mask2former.evaluation import PanopticQuality
from mask2former.models import Mask2Former
from mask2former.models.masks import Masks
from mask2former.models.postprocess import PanopticFusion
from mask2former.models.video import is_of_images
from mask2former.progress import ProgressBar


class Trial(NamedTuple):
    """A pair of thresholds and what it came to: PQ and its parts, in percent."""

    score_thr: float
    overlap_thr: float
    quality: Mapping[str, float]


class _Trials:
    """A postprocessor that fuses by several rules and measures each."""

    predicts = PanopticFusion.predicts

    def __init__(self, rules: Sequence[PanopticFusion], metainfo: Mapping) -> None:
        self.rules = rules
        self.metrics = [PanopticQuality() for _ in rules]
        for metric in self.metrics:
            metric.dataset_meta = metainfo

    def __call__(self, class_logits: Tensor, masks: Masks, isthing: Sequence[bool], sample: DetDataSample) -> None:
        for rule, metric in zip(self.rules, self.metrics):
            rule(class_logits, masks, isthing, sample)
            metric.process(None, [sample.cpu().to_dict()])

    def trials(self) -> Iterator[Trial]:
        for rule, metric in zip(self.rules, self.metrics):
            yield Trial(rule.score_thr, rule.overlap_thr, metric.compute_metrics(metric.results))


def fusion_of(model: Mask2Former) -> PanopticFusion:
    """The model's panoptic fusion.

    Raises:
        ConfigError: If it has none.
    """
    for rule in model.postprocessors if is_of_images(model) else ():
        if isinstance(rule, PanopticFusion):
            return rule
    raise ConfigError('The thresholds are of panoptic results of images: give a config whose model has them.')


def try_thresholds(
    model: Mask2Former,
    dataset: BaseDataset,
    score_thrs: Iterable[float],
    overlap_thrs: Iterable[float],
    count: int | None = None,
) -> list[Trial]:
    """Measure PQ with each pair of thresholds; the model runs once on an image.

    Args:
        model: A trained model of images.
        dataset: With panoptic truth, prepared as for a test.
        score_thrs: Class scores below which a query is left out.
        overlap_thrs: Shares of its mask that a segment must keep.
        count: Images, from all over the set; None for all.

    Raises:
        ConfigError: If the model has no panoptic fusion.
    """
    inside = fusion_of(model).inside_mask
    rules = [PanopticFusion(score, overlap, inside) for score, overlap in itertools.product(score_thrs, overlap_thrs)]
    measured = _Trials(rules, dataset.metainfo)
    indices = spread_over(dataset, len(dataset) if count is None else count)
    model.eval()
    own, model.postprocessors = model.postprocessors, [measured]
    try:
        with torch.no_grad():
            for index in ProgressBar(indices, desc='thresholds'):
                model.test_step(pseudo_collate([dataset[index]]))
    finally:
        model.postprocessors = own
    return list(measured.trials())


def best_trial(trials: Iterable[Trial]) -> Trial:
    """The highest PQ; of equal ones the strictest."""
    return max(trials, key=lambda trial: (trial.quality['PQ'], trial.overlap_thr, trial.score_thr))
