"""Tests a trained model on all validation images, and keeps how good each one is."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.model import BaseModel
from torch.utils.data import DataLoader

from mask2former.apis.evaluation_parts import build_test_dataset, build_test_evaluator
from mask2former.progress import ProgressBar

from .image_scores import image_score, predicted_segments


@dataclass(frozen=True)
class Evaluation:
    """What a test came to.

    Attributes:
        metrics: By the metrics' names, in percent.
        scores: Of each image its index in the data set and its score, see
            :func:`~mask2former.auto.image_scores.image_score`; the best first.
    """

    metrics: dict[str, float]
    scores: list[tuple[int, float]]


def evaluate(cfg: Config, model: BaseModel) -> Evaluation:
    """Test a model on ``cfg.test_dataloader``."""
    dataset = build_test_dataset(cfg)
    evaluator = build_test_evaluator(cfg, dataset)
    metric = evaluator.metrics[0]
    scores = []
    with torch.no_grad():
        for index, sample in enumerate(_results(model, dataset, cfg.test_dataloader.get('num_workers', 0))):
            sample = sample.cpu()
            evaluator.process([sample])
            truth = metric.true_segments(sample.to_dict())
            scores.append((index, image_score(truth, predicted_segments(sample, metric.predicted))))
    metrics = {name: float(value) for name, value in evaluator.evaluate(len(dataset)).items()}
    return Evaluation(metrics, sorted(scores, key=lambda row: -row[1]))


def _results(model: BaseModel, dataset: BaseDataset, workers: int) -> Iterator[DetDataSample]:
    """The result of each image, in order."""
    loader = DataLoader(dataset, batch_size=None, num_workers=workers)
    for item in ProgressBar(loader, desc='test', total=len(dataset)):
        batch = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
        [sample] = model.test_step(batch)
        yield sample
