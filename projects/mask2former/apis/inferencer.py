"""Run a trained model on images: from files or arrays to results, pictures and JSON."""

import copy
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.utils.misc import IMG_EXTENSIONS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from mask2former.checkpoints.fit import check_finite
from mask2former.errors import ConfigError, MissingFileError
from mask2former.formats.bands import KEPT, in_file_order, is_image
from mask2former.formats.images import is_bgr
from mask2former.registry import MODELS
from mask2former.visualization import SegLocalVisualizer
from mask2former.visualization.bands import check_bands

from .build import build_test_pipeline, init_model, run_transforms, scope_of
from .precision import precision
from .results import sample_to_json
from .tiles import use_tiles
from .tta import use_tta

ImageInput = str | os.PathLike | np.ndarray


class SegInferencer:
    """A model for images, with the preparation of images that its config has for testing.

    Args:
        config: A config or the path of one.
        checkpoint: The weights; see :func:`init_model`.
        device: By default the GPU if there is one.
        score_thr: Instances with lower scores are left out of pictures and JSON. The data samples have all. What is a
            panoptic segment is the config's to say: ``model.postprocessors.panoptic.score_thr``.
        batch_size: Images that go through the model together. Images of unequal sizes are padded to the largest of
            their batch, which changes results a little; with 1 each image's result is its own.
        tta: Test-time augmentation, as ``tools/test.py --tta`` does it: each image in several views, flipped and
            resized, which the config says or which follow from its test pipeline (``mask2former.apis.tta.use_tta``).
        tile: Side of the tiles that images are cut into, see :class:`~mask2former.models.SegTileModel`; by default what
            ``tile_model`` of the config says, or none.
        overlap: Pixels that neighbouring tiles share; by default a quarter of a tile.
        bands: Which three bands of images of N bands pictures show, or which one; by default what the config's
            visualizer says, see :func:`~mask2former.visualization.bands.as_rgb`.
        amp_dtype: 'bfloat16', or on a GPU 'float16', for a network in mixed precision; results are made of its outputs
            in float32.

    Attributes:
        dataset_meta (dict): ``classes``, ``isthing``, ``palette`` and ``category_ids`` of the model.
        suffixes (tuple): What names of images end with, in small letters.
        precision: Makes the context in which the model works.
        shown_bands: Which bands pictures show, as the option or the config says.

    Raises:
        ConfigError: If an option is wrong, or if the config has no test pipeline.
        CheckpointError: If weights are not finite; also what :func:`init_model` raises.
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
        tile: int | None = None,
        overlap: int | None = None,
        bands: Sequence[int] | None = None,
        amp_dtype: str | None = None,
    ) -> None:
        if not 0 <= score_thr <= 1:
            raise ConfigError(f'score_thr must lie in 0 .. 1, but is {score_thr}.')
        if batch_size < 1:
            raise ConfigError(f'batch_size must be 1 or more, but is {batch_size}.')
        self.model = init_model(config, checkpoint, device)
        check_finite(self.model, os.fspath(checkpoint))
        self.score_thr = score_thr
        self.batch_size = batch_size
        self.precision = partial(precision, amp_dtype, next(self.model.parameters()).device)
        self.precision()  # refuses what cannot be
        # To torch's types each attribute of a module is a tensor or a module.
        self.dataset_meta: dict = self.model.dataset_meta  # type: ignore[assignment]
        cfg: Config = copy.deepcopy(self.model.cfg)  # type: ignore[assignment]  # TestTimeAug writes into it
        if tta:
            use_tta(cfg)
            with scope_of(cfg):
                self.model = MODELS.build(dict(cfg.model, module=self.model))
        if use_tiles(cfg, tile, overlap):
            with scope_of(cfg):
                self.model = MODELS.build(dict(cfg.model, module=self.model))
        self.load, self.transforms = build_test_pipeline(cfg)
        self.suffixes = (*IMG_EXTENSIONS, '.npy') if getattr(self.load, 'bands', None) else tuple(IMG_EXTENSIONS)
        self.shown_bands = bands or cfg.get('visualizer', {}).get('bands')
        if self.shown_bands is not None:
            check_bands(self.shown_bands)

    @cached_property
    def visualizer(self) -> SegLocalVisualizer:
        """What draws results; made when it is asked for, since it needs matplotlib."""
        visualizer = SegLocalVisualizer(bands=self.shown_bands)
        visualizer.dataset_meta = self.dataset_meta
        return visualizer

    def __call__(self, inputs: ImageInput | Sequence[ImageInput]) -> list[DetDataSample] | Iterator[DetDataSample]:
        """Segment images.

        Args:
            inputs: An image file, an array (H, W, 3) uint8 in OpenCV's order (BGR), several of these in a list, or a
                folder of images. With ``LoadImage(bands=N)`` in the config an array is (H, W, N), of the type of the
                training images and with the bands in that order; three are BGR.

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
            return (
                self.stream(list_images(inputs, self.suffixes))
                if os.path.isdir(inputs)
                else list(self.stream([inputs]))
            )
        return list(self.stream([inputs] if isinstance(inputs, np.ndarray) else inputs))

    def stream(self, images: Iterable[ImageInput]) -> Iterator[DetDataSample]:
        """Segment images one batch after another; only one batch is in memory at a time."""
        images = iter(images)
        while batch := [self.prepare(image) for image in islice(images, self.batch_size)]:
            with torch.no_grad(), self.precision():
                samples = self.model.test_step(pseudo_collate(batch))
            yield from (sample.cpu() for sample in samples)

    def read_image(self, image: ImageInput) -> np.ndarray:
        """Read an image (H, W, 3) uint8 BGR, or (H, W, N), as the model's pipeline does; an array is given back."""
        return self._read(image)['img']

    def prepare(self, image: ImageInput) -> dict:
        """One image as the model's data preprocessor takes it: ``inputs`` (3, H, W) uint8 and ``data_samples``.

        With test-time augmentation both are lists, an entry a view.
        """
        return run_transforms(self.transforms, self._read(image))

    def _read(self, image: ImageInput) -> dict:
        if not isinstance(image, np.ndarray):
            path = os.fspath(image)
            if '://' not in path and not os.path.isfile(path):
                raise MissingFileError(f"There is no image '{path}'.")
            return self.load(dict(img_path=path))
        bands = getattr(self.load, 'bands', None)
        if bands is not None:
            if not is_image(image, bands):
                raise ConfigError(
                    f'An image must be an array (H, W, {bands}) of {", ".join(KEPT)}, but it is {image.dtype} of shape '
                    f'{image.shape}; convert it first.'
                )
            return dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2], bands=bands)
        if not is_bgr(image):
            raise ConfigError(
                f'An image must be an array (H, W, 3) uint8 in the order BGR, but it is {image.dtype} of '
                f'shape {image.shape}; cv2.cvtColor converts grey and RGB.'
            )
        return dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])

    def visualize(self, image: ImageInput, sample: DetDataSample) -> np.ndarray:
        """Draw an image and, beside it, each kind of result: a picture (height, width, 3) uint8 in the order RGB."""
        return self.visualizer.draw_datasample(
            in_file_order(self.read_image(image)), sample, draw_gt=False, pred_score_thr=self.score_thr
        )

    def to_json(self, sample: DetDataSample) -> dict:
        """A result as plain values for ``json.dump``; see :func:`mask2former.apis.sample_to_json`."""
        return sample_to_json(sample, self.dataset_meta['classes'], score_thr=self.score_thr)


def list_images(folder: str | os.PathLike, suffixes: Sequence[str] = IMG_EXTENSIONS) -> list[str]:
    """Paths of the images in a folder (not in folders within it), in the order of their names.

    Args:
        folder: The folder.
        suffixes: What names of images end with, in small letters; of an inferencer its ``suffixes``.

    Raises:
        MissingFileError: If there is no such folder.
        ConfigError: If there is no image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(f"There is no folder '{folder}'.")
    paths = [str(path) for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.is_dir()]
    if not paths:
        raise ConfigError(f"The folder '{folder}' has no image ({', '.join(suffixes)}) directly in it.")
    return sorted(paths)


def output_stems(images: Sequence[str], folder: Path) -> list[Path]:
    """Where each image's results go in a folder, less the suffix.

    Equal stems are numbered, and where the images themselves are there, so are those of the files beside them: neither
    an image nor its annotation is written over.
    """
    beside = {path for parent in {Path(image).parent.resolve() for image in images} for path in parent.glob('*')}
    taken = {path.with_suffix('') for path in beside}
    stems = []
    for image in images:
        stem, number = folder / Path(image).stem, 1
        while stem.resolve() in taken:
            number += 1
            stem = folder / f'{Path(image).stem}_{number}'
        taken.add(stem.resolve())
        stems.append(stem)
    return stems
