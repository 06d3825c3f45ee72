"""What a config tests on, and by which metrics, for tests outside of a runner."""

import copy

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import Evaluator

from mask2former.evaluation import show_dataset
from mask2former.registry import DATASETS

from .build import scope_of


def build_test_dataset(cfg: Config) -> BaseDataset:
    """The data set of ``cfg.test_dataloader``."""
    with scope_of(cfg):
        return DATASETS.build(dict(cfg.test_dataloader.dataset, test_mode=True))


def build_train_dataset_as_tested(cfg: Config) -> BaseDataset:
    """The data set of ``cfg.train_dataloader``, whole, with images prepared as those of ``cfg.test_dataloader``."""
    pipeline = cfg.test_dataloader.dataset.pipeline
    with scope_of(cfg):
        return DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=pipeline, test_mode=True))


def spread_over(dataset: BaseDataset, count: int) -> list[int]:
    """Indices of so many images, or of all where there are not so many, from all over the set."""
    return np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int).tolist()


def build_test_evaluator(cfg: Config, dataset: BaseDataset) -> Evaluator:
    """The metrics of ``cfg.test_evaluator``, which know the data set."""
    with scope_of(cfg):
        evaluator = Evaluator(copy.deepcopy(cfg.test_evaluator))
    evaluator.dataset_meta = dataset.metainfo
    show_dataset(evaluator.metrics, dataset)
    return evaluator
