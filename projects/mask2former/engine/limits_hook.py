"""Says what the configuration caps, once, before a training or a test begins."""

import logging

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mask2former.datasets.segment_table import table_of
from mask2former.limits.sentences import limit_sentences
from mask2former.limits.settings import limit_settings
from mask2former.registry import HOOKS


@HOOKS.register_module()
class LimitsHook(Hook):
    """Logs a sentence for each limit of the config that caps the result: too few queries, too small objects, and so on.

    It is found from what the data sets have read already, in a second; ``tools/analysis_tools/oracle.py`` measures it.
    Data sets of class-id PNG files say nothing of their segments before these are read, so nothing is said of them.
    """

    priority = 'VERY_LOW'  # after the hooks that set a training up

    def before_train(self, runner: Runner) -> None:
        """Say it of the data of the training and of its validation."""
        self._say(runner, 'train', runner.train_dataloader)
        if runner.val_loop is not None:
            self._say(runner, 'val', runner.val_loop.dataloader)

    def before_test(self, runner: Runner) -> None:
        """Say it of the data of the test."""
        self._say(runner, 'test', runner.test_loop.dataloader)

    @staticmethod
    def _say(runner: Runner, split: str, dataloader: DataLoader) -> None:
        if runner.rank != 0:
            return
        table, meta = table_of(dataloader.dataset), getattr(dataloader.dataset, 'metainfo', {})
        if table is None or 'isthing' not in meta:
            return
        settings = limit_settings(
            runner.cfg, split, pipeline_of(runner.cfg.get(f'{split}_dataloader')), runner.world_size
        )
        for sentence in limit_sentences(table, settings, meta['classes'], meta['isthing']):
            runner.logger.log(logging.WARNING, sentence)


def pipeline_of(config: object) -> list[dict]:
    """The configs of the transforms of a dataloader's first data set, within wrappers and with their own."""
    if not isinstance(config, dict):
        return []
    inner = config.get('dataset') or next(iter(config.get('datasets') or ()), None)
    return [*pipeline_of(inner), *(config.get('pipeline') or ())]
