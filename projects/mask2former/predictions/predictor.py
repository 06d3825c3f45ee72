"""A model that predicts images one by one, as objects."""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from mmdet.structures import DetDataSample

from mask2former.apis import SegInferencer, list_images
from mask2former.apis.inferencer import ImageInput
from mask2former.errors import ConfigError, DataError, UserError
from mask2former.formats.bands import in_file_order
from mask2former.formats.rle import encode_mask

from .prediction import Prediction, Segment

FIELDS = dict(panoptic='pred_panoptic_seg', instance='pred_instances', semantic='pred_sem_seg')
_LOG = logging.getLogger(__name__)


class Predictor:
    """A trained model; :func:`~mask2former.predictions.load` makes one.

    Args:
        config: Path of its config.
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
        config: str | os.PathLike,
        checkpoint: str | os.PathLike,
        *,
        task: str | None = None,
        device: str | None = None,
        score_thr: float = 0.3,
    ) -> None:
        if task is not None and task not in FIELDS:
            raise ConfigError(f"task must be one of {', '.join(FIELDS)}, not '{task}'.")
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
        shown = in_file_order(self.inferencer.read_image(image))
        return Prediction(
            path=None if isinstance(image, np.ndarray) else Path(image),
            image=shown,
            segments=tuple(self._segments(sample, field)),
            task=task,
            sample=sample,
            drawing=self.inferencer.visualizer.draw_datasample(
                shown, sample, draw_gt=False, pred_score_thr=self.inferencer.score_thr
            ),
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
        given = [task for task, field in FIELDS.items() if field in sample]
        if not given or (self.task is not None and self.task not in given):
            raise UserError(
                f'The model gives no {self.task or ""} results'.replace('  ', ' ')
                + (f', but {" and ".join(given)} ones: choose one of these as task.' if given else '.')
            )
        task = self.task or given[0]
        return task, FIELDS[task]

    def _segments(self, sample: DetDataSample, field: str) -> list[Segment]:
        meta = self.inferencer.dataset_meta
        is_thing = meta.get('isthing') or (True,) * len(self.classes)
        category_ids = meta.get('category_ids') or range(len(self.classes))

        def segment(number: int, label: int, score: float | None, rle: dict, thing: bool) -> Segment:
            return Segment(number, self.classes[label], int(category_ids[label]), thing, score, rle)

        if field == 'pred_instances':
            instances = sample.pred_instances
            order = instances.scores.argsort(descending=True, stable=True).tolist()
            kept = [i for i in order if instances.scores[i] >= self.inferencer.score_thr]
            return [
                segment(number, int(instances.labels[i]), float(instances.scores[i]), instances.masks[i], True)
                for number, i in enumerate(kept, 1)
            ]
        if field == 'pred_panoptic_seg':
            id_map = sample.pred_panoptic_seg.id_map[0].numpy()  # (H, W)
            found = [
                segment(
                    info['id'],
                    info['label'],
                    float(info['score']),
                    encode_mask(id_map == info['id']),
                    bool(is_thing[info['label']]),
                )
                for info in sample.pred_panoptic_seg.segments_info
            ]
            return sorted(found, key=lambda row: (not row.isthing, -(row.score or 0)))
        labels = sample.pred_sem_seg.sem_seg[0].numpy()  # (H, W)
        rows = [(label, encode_mask(labels == label)) for label in np.unique(labels).tolist()]
        return [segment(number, label, None, rle, bool(is_thing[label])) for number, (label, rle) in enumerate(rows, 1)]
