"""The hook says once what the config caps."""

import logging

import pytest
from mmengine.config import Config

from mask2former.apis.run_config import build_runner
from mask2former.datasets.segment_table import table_of
from mask2former.engine.limits_hook import pipeline_of
from mask2former.registry import DATASETS
from tests.tiny import name_run, write_config


class Messages(logging.Handler):
    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())

    def of(self, part):
        return [text for text in self.texts if part in text]


def runner_of(config, **options):
    cfg = Config.fromfile(config)
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in options.items()})
    name_run(cfg)
    runner = build_runner(cfg)
    messages = Messages()
    runner.logger.addHandler(messages)
    return runner, messages


def test_a_training_says_it_of_its_data_and_of_its_validation(shapes, tmp_path):
    runner, messages = runner_of(
        write_config(tmp_path, shapes), model__head__num_queries=2, train_cfg__max_iters=2, train_cfg__val_interval=1
    )
    runner.train()
    [of_train] = messages.of('training images have more than 2 segments (model.head.num_queries)')
    [of_val] = messages.of('validation images have more than 2 segments (model.head.num_queries)')
    assert of_train.startswith('8 of 8') and 'PQ can reach' in of_val and of_val.endswith('at most.')


def test_a_test_says_it(shapes, tmp_path):
    runner, messages = runner_of(write_config(tmp_path, shapes), model__head__num_queries=2)
    runner.test()
    assert len(messages.of('5 of 5 test images have more than 2 segments')) == 1
    assert not messages.of('training')


@pytest.mark.parametrize('split', ['train', 'test'])
def test_it_can_be_left_out(shapes, tmp_path, split):
    runner, messages = runner_of(
        write_config(tmp_path, shapes), model__head__num_queries=2, default_hooks__limits=None, train_cfg__max_iters=1
    )
    getattr(runner, split)()
    assert not messages.of('have more than')


def test_wrapped_data_sets(shapes, tmp_path):
    inner = Config.fromfile(write_config(tmp_path, shapes)).train_dataloader.dataset
    wrapped = dict(type='ConcatDataset', datasets=[inner, dict(type='RepeatDataset', times=2, dataset=inner)])
    assert pipeline_of(dict(dataset=wrapped)) == list(inner.pipeline)
    table, alone = table_of(DATASETS.build(wrapped)), table_of(DATASETS.build(inner))
    assert len(table.sizes) == 16 and table.per_image().tolist() == 2 * alone.per_image().tolist()
    assert table_of(object()) is None
