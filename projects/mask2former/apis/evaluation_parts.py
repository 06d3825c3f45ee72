"""What a config tests on, and by which metrics, for tests outside of a runner."""

import copy

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


def build_test_evaluator(cfg: Config, dataset: BaseDataset) -> Evaluator:
    """The metrics of ``cfg.test_evaluator``, which know the data set."""
    with scope_of(cfg):
        evaluator = Evaluator(copy.deepcopy(cfg.test_evaluator))
    evaluator.dataset_meta = dataset.metainfo
    show_dataset(evaluator.metrics, dataset)
    return evaluator
