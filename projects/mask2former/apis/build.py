"""A model and its test pipeline from a config and a checkpoint, ready for inference."""

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager

import torch
from mmcv.transforms import BaseTransform, LoadImageFromFile, TestTimeAug
from mmcv.transforms import LoadAnnotations as MMCVLoadAnnotations
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from torch import nn
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from mask2former.checkpoints.fit import check_fit
from mask2former.checkpoints.schemes import read_any
from mask2former.checkpoints.zoo import find_config
from mask2former.datasets import config_metainfo
from mask2former.datasets.transforms import ANNOTATION_LOADERS, LoadFrames
from mask2former.errors import CheckpointError, ConfigError
from mask2former.registry import MODELS, TRANSFORMS

_READ_ANNOTATIONS = (*ANNOTATION_LOADERS, MMCVLoadAnnotations)


def init_model(
    config: str | os.PathLike | Config,
    checkpoint: str | os.PathLike | None = None,
    device: str | torch.device | None = None,
) -> BaseModel:
    """Build a model and load its weights, ready for inference.

    The classes are those that the checkpoint was trained on, or, where it does not say them, those of the config's
    data set. No image or annotation of the training data is needed where the checkpoint says them.

    Args:
        config: A config, the path of one, or the name of a published model.
        checkpoint: A file of any format (docs/checkpoints.md), an address (``https://``, ``hf://``, ``package://``), or
            the name of a published model. It is read without running code in it. Without one the weights are random.
        device: ``'cpu'``, ``'cuda'``, ``'cuda:1'``; by default the GPU if there is one.

    Returns:
        BaseModel: The model in evaluation mode, with ``dataset_meta`` (classes, isthing, palette, category_ids) and
        ``cfg``.

    Raises:
        MissingFileError: If there is no such config or checkpoint.
        CheckpointError: If the checkpoint cannot be read or does not fit the config.
        ConfigError: If nothing says the classes, or if there is no such device.
    """
    device = find_device(device)
    config, name = _read_config(config)
    if 'model' not in config:
        raise ConfigError(f'{name} has no model: give the config that the checkpoint was trained with.')
    loaded, meta = ({}, {}) if checkpoint is None else _read_checkpoint(os.fspath(checkpoint))
    with scope_of(config):
        metainfo = _find_metainfo(meta, config, name, checkpoint)
        model = MODELS.build(dict(config.model, metainfo=metainfo))
    if checkpoint is not None:
        _load_weights(model, loaded, checkpoint)
    model.dataset_meta = metainfo
    model.cfg = config
    return model.to(device).eval()


def build_test_transforms(config: Config) -> list[BaseTransform]:
    """The transforms of the config's test data set without those that read annotations.

    Such are the loading transforms of this package, mmcv and mmdet, and any whose class says
    ``reads_annotations = True``; those within a ``TestTimeAug`` are left out, too.

    Raises:
        ConfigError: If the config has no test pipeline.
    """
    try:
        pipeline = get_test_pipeline_cfg(config)
    except (AttributeError, RuntimeError):
        raise ConfigError(
            'The config has no test_dataloader whose dataset has a pipeline, so it is unknown how to '
            'prepare images; add one (it needs no existing files).'
        ) from None
    with scope_of(config):
        transforms = [TRANSFORMS.build(transform) for transform in pipeline]
    kept = _without_annotations(transforms)
    for transform in kept:
        if isinstance(transform, TestTimeAug):
            for view in transform.subroutines:
                view.transforms = _without_annotations(view.transforms)
    return kept


def build_test_pipeline(config: Config) -> tuple[BaseTransform, list[BaseTransform]]:
    """The transforms of :func:`build_test_transforms` for images.

    Returns:
        tuple[BaseTransform, list[BaseTransform]]: The one that reads the image, and those after it.

    Raises:
        ConfigError: If the config has no test pipeline or it reads no image.
    """
    kept = build_test_transforms(config)
    if any(isinstance(transform, LoadFrames) for transform in kept):
        raise ConfigError('The config is one of videos, and images are asked for: use demo/video_demo.py.')
    if not kept or not isinstance(kept[0], LoadImageFromFile):
        raise ConfigError(
            "The config's test pipeline must begin with dict(type='LoadImage'), but begins with "
            f'{type(kept[0]).__name__ if kept else "nothing"}.'
        )
    return kept[0], kept[1:]


def run_transforms(transforms: Iterable[BaseTransform], results: dict, what: str = 'an image') -> dict:
    """Put an image through the transforms of a test pipeline.

    Args:
        transforms: One after another.
        results: What the first one gets.
        what: What messages call it.

    Raises:
        ConfigError: If a transform refuses it.
    """
    for transform in transforms:
        results = transform(results)
        if results is None:
            raise ConfigError(
                f"The test pipeline's {type(transform).__name__} refused {what} by returning None; "
                f'a test pipeline must keep every {what.split()[-1]}.'
            )
    return results


def _without_annotations(transforms: Iterable[BaseTransform]) -> list[BaseTransform]:
    return [
        transform
        for transform in transforms
        if not getattr(transform, 'reads_annotations', isinstance(transform, _READ_ANNOTATIONS))
    ]


def scope_of(config: Config) -> AbstractContextManager:
    """In it, a config's names mean what they mean in a run, whatever another library has set."""
    return DefaultScope.overwrite_default_scope(config.get('default_scope', 'mask2former'))


def find_device(device: str | torch.device | None) -> torch.device:
    """The device of a name, by default the GPU if there is one.

    Raises:
        ConfigError: If there is none of the name, or torch cannot compute on it here.
    """
    try:
        found = torch.device(get_device() if device is None else device)
    except RuntimeError:
        raise ConfigError(f"There is no device '{device}'; write 'cpu', 'cuda' or 'cuda:0'.") from None
    if found.type == 'cuda' and (found.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"Device '{found}' was asked for, but torch sees {torch.cuda.device_count()} GPUs; "
            "write 'cpu', or install a torch with CUDA."
        )
    try:
        torch.zeros(1, device=found).item()
    except (RuntimeError, AssertionError, ImportError) as error:  # the backends of torch say it in many ways
        raise ConfigError(f"torch cannot compute on the device '{found}' here ({error}); write 'cpu'.") from None
    return found


def _read_config(config: str | os.PathLike | Config) -> tuple[Config, str]:
    """A config and its name for messages."""
    if isinstance(config, Config):
        return config, f"the config '{config.filename}'" if config.filename else 'the config'
    return Config.fromfile(find_config(os.fspath(config))), f"the config '{config}'"


def _read_checkpoint(path: str) -> tuple[dict, Mapping]:
    """The weights of a checkpoint and what it says of its data set, which may be nothing."""
    checkpoint = read_any(path)
    return checkpoint['state_dict'], checkpoint['meta'].get('dataset_meta') or {}


def _find_metainfo(meta: Mapping, config: Config, name: str, checkpoint: str | os.PathLike | None) -> dict:
    """The checkpoint's metainfo before the config's; where both are known, they must agree in the number of classes."""
    of_config, reason = None, None
    try:
        of_config = config_metainfo(config)
    except FileNotFoundError as error:
        reason = error
    if meta.get('classes') and of_config is not None and len(meta['classes']) != len(of_config['classes']):
        raise CheckpointError(
            f"'{checkpoint}' has {len(meta['classes'])} classes, but the data set of {name} has "
            f'{len(of_config["classes"])}; give the config that it was trained with.'
        )
    if meta.get('classes') and meta.get('isthing'):
        return dict(meta)
    if of_config is not None:
        return of_config
    says = 'there is no checkpoint' if checkpoint is None else f"the checkpoint '{checkpoint}' does not say them"
    raise ConfigError(f'The classes are unknown: {says}, and neither does {name} without its data. {reason}')


def _load_weights(model: nn.Module, weights: dict, checkpoint: str | os.PathLike) -> None:
    """Load weights, every one of them; what does not fit is an error, not a line in a log."""
    consume_prefix_in_state_dict_if_present(weights, 'module.')
    check_fit(model, weights, os.fspath(checkpoint))
    foreign = model.load_state_dict(weights, strict=False).unexpected_keys
    if foreign:
        raise CheckpointError(
            f"'{checkpoint}' does not fit the model: it has {len(foreign)} weights more, such as "
            f"'{foreign[0]}'; give the config that it was trained with."
        )
