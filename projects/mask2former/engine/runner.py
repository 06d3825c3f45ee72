"""The runner: mmengine's, and the data set's classes reach the model."""

import torch
from mmengine.dist import is_distributed
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from ..datasets.metainfo import dataset_metainfo
from ..registry import RUNNERS


@RUNNERS.register_module()
class SegRunner(Runner):
    """A runner whose model takes its classes from the data set, and which runs on CPU processes over gloo as well.

    The arguments are those of :class:`mmengine.runner.Runner`.
    """

    def setup_env(self, env_cfg: dict) -> None:
        """Set up multi-processing and the distributed environment; without CUDA the processes talk over gloo."""
        if self.distributed and not is_distributed() and not torch.cuda.is_available():
            if self.launcher != 'pytorch':
                raise RuntimeError(f"Without CUDA the launcher must be 'pytorch', not '{self.launcher}'.")
            torch.distributed.init_process_group(backend='gloo')
        super().setup_env(env_cfg)

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the model; ``metainfo`` comes from the data set unless the config gives it."""
        if isinstance(model, dict) and model.get('metainfo') is None:
            model = dict(model, metainfo=self.find_metainfo())
        return super().build_model(model)

    def find_metainfo(self) -> dict:
        """Metainfo of the data that is validated, tested or trained on, the first of these that can be read."""
        reasons = []
        for dataloader in (self._val_dataloader, self._test_dataloader, self._train_dataloader):
            if isinstance(dataloader, DataLoader):
                return dataloader.dataset.metainfo
            if dataloader is None:
                continue
            try:
                return dataset_metainfo(dataloader['dataset'])
            except FileNotFoundError as error:
                reasons.append(str(error))
        raise FileNotFoundError('No data set of the config can be read, so the classes are unknown: ' +
                                (' '.join(reasons) or 'it has no dataloader at all.'))

    def build_dataloader(self, dataloader: DataLoader | dict, *args, **kwargs) -> DataLoader:
        """Build a dataloader and see that its classes are the model's."""
        dataloader = Runner.build_dataloader(dataloader, *args, **kwargs)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        expected = getattr(model, 'classes', None)
        classes = getattr(dataloader.dataset, 'metainfo', {}).get('classes')
        if expected is not None and classes is not None and tuple(classes) != tuple(expected):
            differing = next((pair for pair in zip(classes, expected) if pair[0] != pair[1]), None)
            detail = (f"'{differing[0]}' stands where the model has '{differing[1]}'"
                      if differing else 'the counts differ')
            raise ValueError(
                f'The data set {getattr(dataloader.dataset, "ann_file", dataloader.dataset)} has {len(classes)} '
                f'classes, the model {len(expected)}, and {detail}: train, val and test must share one list of classes '
                '(set metainfo=dict(classes=[...]) in each dataset).')
        return dataloader

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model for distributed training; on CPU processes it must not name a device."""
        if self.distributed and model_wrapper_cfg is None and not torch.cuda.is_available():
            return MMDistributedDataParallel(module=model, broadcast_buffers=False)
        return super().wrap_model(model_wrapper_cfg, model)
