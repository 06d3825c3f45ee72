"""Run a trained model on images: from files or arrays to results, pictures and JSON."""

import copy
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform, LoadImageFromFile, TestTimeAug
from mmcv.transforms import LoadAnnotations as MMCVLoadAnnotations
from mmdet.structures import DetDataSample
from mmdet.utils import get_test_pipeline_cfg
from mmdet.utils.misc import IMG_EXTENSIONS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from torch import nn
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from mask2former.checkpoints.loading import check_fit
from mask2former.checkpoints.names import find_config
from mask2former.checkpoints.schemes import read_any
from mask2former.datasets.metainfo import dataset_metainfo
from mask2former.datasets.transforms import LoadInstanceSegments, LoadPanopticGroundTruth, LoadPanopticSegments
from mask2former.errors import CheckpointError, ConfigError, MissingFileError
from mask2former.registry import MODELS, TRANSFORMS
from mask2former.visualization import SegLocalVisualizer

from .results import sample_to_json
from .tta import use_tta

ImageInput = str | os.PathLike | np.ndarray

_READ_ANNOTATIONS = (LoadInstanceSegments, LoadPanopticGroundTruth, LoadPanopticSegments, MMCVLoadAnnotations)


def init_model(
    config: str | os.PathLike | Config,
    checkpoint: str | os.PathLike | None = None,
    device: str | torch.device | None = None,
) -> nn.Module:
    """Build a model and load its weights, ready for inference.

    The classes are those that the checkpoint was trained on, or, where it does not say them, those of the config's
    data set. No image or annotation of the training data is needed where the checkpoint says them.

    Args:
        config (str | PathLike | Config): A config, the path of one, or the name of a published model.
        checkpoint (str | PathLike, optional): A file of any format (docs/checkpoints.md), an address (``https://``,
            ``hf://``, ``package://``), or the name of a published model. It is read without running code in it. Without
            one the weights are random.
        device (str | torch.device, optional): ``'cpu'``, ``'cuda'``, ``'cuda:1'``; by default the GPU if there is one.

    Returns:
        nn.Module: The model in evaluation mode, with ``dataset_meta`` (classes, isthing, palette, category_ids) and
        ``cfg``.

    Raises:
        MissingFileError: If there is no such config or checkpoint.
        CheckpointError: If the checkpoint cannot be read or does not fit the config.
        ConfigError: If nothing says the classes, or if there is no such device.
    """
    device = _find_device(device)
    config, name = _read_config(config)
    loaded, meta = ({}, {}) if checkpoint is None else _read_checkpoint(os.fspath(checkpoint))
    with _scope_of(config):
        metainfo = _find_metainfo(meta, config, name, checkpoint)
        model = MODELS.build(dict(config.model, metainfo=metainfo))
    if checkpoint is not None:
        _load_weights(model, loaded, checkpoint)
    model.dataset_meta = metainfo
    model.cfg = config
    return model.to(device).eval()


class SegInferencer:
    """A model for images, with the preparation of images that its config has for testing.

    Args:
        config (str | PathLike | Config): A config or the path of one.
        checkpoint (str | PathLike): The weights; see :func:`init_model`.
        device (str | torch.device, optional): By default the GPU if there is one.
        score_thr (float): Instances with lower scores are left out of pictures and JSON. The data samples have all.
            What is a panoptic segment is the config's to say: ``model.postprocessors.panoptic.score_thr``.
        batch_size (int): Images that go through the model together. Images of unequal sizes are padded to the largest
            of their batch, which changes results a little; with 1 each image's result is its own.
        tta (bool): Test-time augmentation, as ``tools/test.py --tta`` does it: each image in several views, flipped and
            resized, which the config says or which follow from its test pipeline (``mask2former.apis.tta.use_tta``).

    Attributes:
        dataset_meta (dict): ``classes``, ``isthing``, ``palette`` and ``category_ids`` of the model.

    Raises:
        ConfigError: If an option is wrong, or if the config has no test pipeline; also what :func:`init_model` raises.
    """

    def __init__(
        self,
        config: str | os.PathLike | Config,
        checkpoint: str | os.PathLike,
        *,
        device: str | torch.device | None = None,
        score_thr: float = 0.3,
        batch_size: int = 1,
        tta: bool = False,
    ) -> None:
        if not 0 <= score_thr <= 1:
            raise ConfigError(f'score_thr must lie in 0 .. 1, but is {score_thr}.')
        if batch_size < 1:
            raise ConfigError(f'batch_size must be 1 or more, but is {batch_size}.')
        self.model = init_model(config, checkpoint, device)
        self.score_thr = score_thr
        self.batch_size = batch_size
        self.dataset_meta = self.model.dataset_meta
        cfg = copy.deepcopy(self.model.cfg)  # TestTimeAug writes into its own config
        if tta:
            use_tta(cfg)
            with _scope_of(cfg):
                self.model = MODELS.build(dict(cfg.model, module=self.model))
        self.load, self.transforms = build_test_pipeline(cfg)
        self.visualizer = SegLocalVisualizer()
        self.visualizer.dataset_meta = self.dataset_meta

    def __call__(self, inputs: ImageInput | Sequence[ImageInput]) -> list[DetDataSample] | Iterator[DetDataSample]:
        """Segment images.

        Args:
            inputs (str | PathLike | np.ndarray | Sequence): An image file, an array (H, W, 3) uint8 in OpenCV's order
                (BGR), several of these in a list, or a folder of images.

        Returns:
            list[DetDataSample] | Iterator[DetDataSample]: One for each image, in order and on the CPU, at the image's
            own size, with what the model's postprocessors give: ``pred_panoptic_seg``, ``pred_instances``,
            ``pred_sem_seg``. Of a folder, an iterator in the order of :func:`list_images`: it computes when it is asked
            for the next one, so that any number of images fits into memory.

        Raises:
            MissingFileError: If there is no such file.
            ConfigError: If a file or an array is no such image, or if a folder has none.
        """
        if isinstance(inputs, (str, os.PathLike)):
            return self.stream(list_images(inputs)) if os.path.isdir(inputs) else list(self.stream([inputs]))
        return list(self.stream([inputs] if isinstance(inputs, np.ndarray) else inputs))

    def stream(self, images: Iterable[ImageInput]) -> Iterator[DetDataSample]:
        """Segment images one batch after another; only one batch is in memory at a time."""
        images = iter(images)
        while batch := [self.prepare(image) for image in islice(images, self.batch_size)]:
            with torch.no_grad():
                samples = self.model.test_step(pseudo_collate(batch))
            yield from (sample.cpu() for sample in samples)

    def read_image(self, image: ImageInput) -> np.ndarray:
        """Read an image (H, W, 3) uint8 BGR as the model's pipeline does; an array is given back as it is."""
        return self._read(image)['img']

    def prepare(self, image: ImageInput) -> dict:
        """One image as the model's data preprocessor takes it: ``inputs`` (3, H, W) uint8 and ``data_samples``.

        With test-time augmentation both are lists, an entry a view.
        """
        results = self._read(image)
        for transform in self.transforms:
            results = transform(results)
            if results is None:
                raise ConfigError(
                    f"The test pipeline's {type(transform).__name__} refused an image by returning None; "
                    'a test pipeline must keep every image.'
                )
        return results

    def _read(self, image: ImageInput) -> dict:
        if not isinstance(image, np.ndarray):
            path = os.fspath(image)
            if '://' not in path and not os.path.isfile(path):
                raise MissingFileError(f"There is no image '{path}'.")
            return self.load(dict(img_path=path))
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ConfigError(
                f'An image must be an array (H, W, 3) uint8 in the order BGR, but it is {image.dtype} of '
                f'shape {image.shape}; cv2.cvtColor converts grey and RGB.'
            )
        return dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])

    def visualize(self, image: ImageInput, sample: DetDataSample) -> np.ndarray:
        """Draw an image and, beside it, each kind of result: a picture (height, width, 3) uint8 in the order RGB."""
        image = cv2.cvtColor(self.read_image(image), cv2.COLOR_BGR2RGB)
        return self.visualizer.draw_datasample(image, sample, draw_gt=False, pred_score_thr=self.score_thr)

    def to_json(self, sample: DetDataSample) -> dict:
        """A result as plain values for ``json.dump``; see :func:`mask2former.apis.sample_to_json`."""
        return sample_to_json(sample, self.dataset_meta['classes'], score_thr=self.score_thr)


def list_images(folder: str | os.PathLike) -> list[str]:
    """Paths of the images in a folder (not in folders within it), in the order of their names.

    Raises:
        MissingFileError: If there is no such folder.
        ConfigError: If there is no image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(f"There is no folder '{folder}'.")
    paths = [str(path) for path in folder.iterdir() if path.suffix.lower() in IMG_EXTENSIONS and not path.is_dir()]
    if not paths:
        raise ConfigError(f"The folder '{folder}' has no image ({', '.join(IMG_EXTENSIONS)}) directly in it.")
    return sorted(paths)


def build_test_pipeline(config: Config) -> tuple[BaseTransform, list[BaseTransform]]:
    """The transforms of the config's test data set without those that read annotations.

    Such are the loading transforms of this package, mmcv and mmdet, and any whose class says
    ``reads_annotations = True``; those within a ``TestTimeAug`` are left out, too.

    Returns:
        tuple[BaseTransform, list[BaseTransform]]: The one that reads the image, and those after it.

    Raises:
        ConfigError: If the config has no test pipeline or it reads no image.
    """
    try:
        pipeline = get_test_pipeline_cfg(config)
    except (AttributeError, RuntimeError):
        raise ConfigError(
            'The config has no test_dataloader whose dataset has a pipeline, so it is unknown how to '
            'prepare images; add one (it needs no existing files).'
        ) from None
    with _scope_of(config):
        transforms = [TRANSFORMS.build(transform) for transform in pipeline]
    kept = _without_annotations(transforms)
    for transform in kept:
        if isinstance(transform, TestTimeAug):
            for view in transform.subroutines:
                view.transforms = _without_annotations(view.transforms)
    if not kept or not isinstance(kept[0], LoadImageFromFile):
        raise ConfigError(
            "The config's test pipeline must begin with dict(type='LoadImage'), but begins with "
            f'{type(kept[0]).__name__ if kept else "nothing"}.'
        )
    return kept[0], kept[1:]


def _without_annotations(transforms: Iterable[BaseTransform]) -> list[BaseTransform]:
    return [
        transform
        for transform in transforms
        if not getattr(transform, 'reads_annotations', isinstance(transform, _READ_ANNOTATIONS))
    ]


def _scope_of(config: Config) -> AbstractContextManager:
    """In it, a config's names mean what they mean in a run, whatever another library has set."""
    return DefaultScope.overwrite_default_scope(config.get('default_scope', 'mask2former'))


def _find_device(device: str | torch.device | None) -> torch.device:
    try:
        found = torch.device(get_device() if device is None else device)
    except RuntimeError:
        raise ConfigError(f"There is no device '{device}'; write 'cpu', 'cuda' or 'cuda:0'.") from None
    if found.type == 'cuda' and (found.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"Device '{found}' was asked for, but torch sees {torch.cuda.device_count()} GPUs; "
            "write 'cpu', or install a torch with CUDA."
        )
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
    of_config, reasons = config.model.get('metainfo'), []
    for key in ('val_dataloader', 'test_dataloader', 'train_dataloader'):
        if of_config is None and config.get(key):
            try:
                of_config = dataset_metainfo(config[key]['dataset'])
            except FileNotFoundError as error:
                reasons.append(str(error))
    if meta.get('classes') and of_config is not None and len(meta['classes']) != len(of_config['classes']):
        raise CheckpointError(
            f"'{checkpoint}' has {len(meta['classes'])} classes, but the data set of {name} has "
            f'{len(of_config["classes"])}; give the config that it was trained with.'
        )
    if meta.get('classes') and meta.get('isthing'):
        return dict(meta)
    if of_config is not None:
        return dict(of_config)
    says = 'there is no checkpoint' if checkpoint is None else f"the checkpoint '{checkpoint}' does not say them"
    why = reasons[0] if reasons else 'It has no dataloader.'
    raise ConfigError(f'The classes are unknown: {says}, and neither does {name} without its data. {why}')


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
