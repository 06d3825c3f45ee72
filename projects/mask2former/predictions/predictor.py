"""A model that predicts images one by one, as objects."""

import logging
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from mmdet.structures import DetDataSample
from mmengine.config import Config

from mask2former.apis import SegInferencer, list_images
from mask2former.apis.inferencer import ImageInput
from mask2former.errors import ConfigError, DataError, UserError
from mask2former.evaluation.sample_fields import RESULTS

from .prediction import Prediction, Segment
from .segments import predicted_segments

_LOG = logging.getLogger(__name__)


class Predictor:
    """A trained model; :func:`~mask2former.predictions.load` makes one.

    Args:
        config: Its config, or the path of that.
        checkpoint: Its weights.
        task: Which results segments are made of: 'panoptic', 'instance' or 'semantic'; by default the first of these
            that the model gives.
        device: By default the GPU if there is one.
        score_thr: Instances with lower scores are left out.

    Attributes:
        classes (tuple): Names of the classes.

    Raises:
        ConfigError: If the model does not give the results of ``task``; also what
            :class:`~mask2former.apis.SegInferencer` raises.
    """

    def __init__(
        self,
        config: str | os.PathLike | Config,
        checkpoint: str | os.PathLike,
        *,
        task: str | None = None,
        device: str | None = None,
        score_thr: float = 0.3,
    ) -> None:
        if task is not None and task not in RESULTS:
            raise ConfigError(f"task must be one of {', '.join(RESULTS)}, not '{task}'.")
        self.inferencer = SegInferencer(config, checkpoint, device=device, score_thr=score_thr)
        self.task = task
        self.classes: tuple[str, ...] = tuple(self.inferencer.dataset_meta['classes'])

    def predict(self, image: ImageInput) -> Prediction:
        """Segment an image: a file, or an array (H, W, 3) uint8 in the order BGR.

        Raises:
            MissingFileError: If there is no such file.
            DataError: If it is no image that can be read.
        """
        [sample] = self.inferencer([image])
        task, field = self._task_of(sample)
        return Prediction(
            path=None if isinstance(image, np.ndarray) else Path(image),
            segments=tuple(self._segments(sample, field)),
            task=task,
            sample=sample,
            draw=partial(self.inferencer.visualize, image, sample),
        )

    def stream(self, images: str | os.PathLike | Sequence[ImageInput]) -> Iterator[Prediction]:
        """Segment the images of a folder or list, one after another; what cannot be read is reported and left out."""
        if isinstance(images, (str, os.PathLike)):
            images = list_images(images, self.inferencer.suffixes) if Path(images).is_dir() else [images]
        for image in images:
            try:
                yield self.predict(image)
            except (FileNotFoundError, DataError, ConfigError) as error:
                _LOG.warning('%s is left out: %s', 'An array' if isinstance(image, np.ndarray) else image, error)

    def _task_of(self, sample: DetDataSample) -> tuple[str, str]:
        given = [task for task, field in RESULTS.items() if field in sample]
        if not given or (self.task is not None and self.task not in given):
            raise UserError(
                f'The model gives no {self.task or ""} results'.replace('  ', ' ')
                + (f', but {" and ".join(given)} ones: choose one of these as task.' if given else '.')
            )
        task = self.task or given[0]
        return task, RESULTS[task]

    def _segments(self, sample: DetDataSample, field: str) -> list[Segment]:
        meta = self.inferencer.dataset_meta
        is_thing = meta.get('isthing') or (True,) * len(self.classes)
        category_ids = meta.get('category_ids') or range(len(self.classes))
        segments = [
            Segment(
                id=found.id,
                label=self.classes[found.label],
                category_id=int(category_ids[found.label]),
                isthing=field == 'pred_instances' or bool(is_thing[found.label]),
                score=None if found.score is None else float(found.score),
                rle=found.rle,
            )
            for found in predicted_segments(sample, field, self.inferencer.score_thr)
        ]
        if field == 'pred_panoptic_seg':
            segments.sort(key=lambda segment: (not segment.isthing, -(segment.score or 0)))
        return segments
