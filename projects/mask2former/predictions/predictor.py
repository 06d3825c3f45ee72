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
from mask2former.engine.unwrap import unwrap_model
from mask2former.errors import ConfigError, DataError, UserError
from mask2former.evaluation.sample_fields import RESULTS
from mask2former.formats.image_rows import ImageRows
from mask2former.models import SegTileModel
from mask2former.tiles import TileGrid

from .prediction import Prediction, Segment
from .segments import PredictedSegment, predicted_segments
from .tiled import TiledPrediction, draw_small, open_image, predict_in_tiles, small_sample

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
        tile: Side of the tiles that images are cut into; by default what ``tile_model`` of the config says, or none.
            Images need not fit into memory, then.
        overlap: Pixels that neighbouring tiles share; by default a quarter of a tile.
        amp_dtype: 'bfloat16', or on a GPU 'float16', for mixed precision.

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
        tile: int | None = None,
        overlap: int | None = None,
        amp_dtype: str | None = None,
    ) -> None:
        if task is not None and task not in RESULTS:
            raise ConfigError(f"task must be one of {', '.join(RESULTS)}, not '{task}'.")
        self.inferencer = SegInferencer(
            config, checkpoint, device=device, score_thr=score_thr, tile=tile, overlap=overlap, amp_dtype=amp_dtype
        )
        self.task = task
        self.classes: tuple[str, ...] = tuple(self.inferencer.dataset_meta['classes'])
        if task is not None and self.tasks and task not in self.tasks:
            raise ConfigError(_not_given(task, self.tasks))

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the model gives, of 'panoptic', 'instance' and 'semantic'; empty if a part of it does not say so."""
        parts = getattr(unwrap_model(self.inferencer.model), 'postprocessors', ())
        predicted = [getattr(part, 'predicts', None) for part in parts]
        return () if None in predicted else tuple(task for task, field in RESULTS.items() if field in predicted)

    def predict(self, image: ImageInput) -> Prediction:
        """Segment an image: a file, or an array (H, W, 3) uint8 in the order BGR.

        Raises:
            ConfigError: If it is something else, such as a folder or a list, which :meth:`stream` takes.
            MissingFileError: If there is no such file.
            DataError: If it is no image that can be read.
        """
        if not isinstance(image, str | os.PathLike | np.ndarray):
            raise ConfigError(
                f'An image must be a path or an array (H, W, 3) uint8 in the order BGR, not {type(image).__name__}: '
                "stream() takes lists, and np.array(image.convert('RGB'))[..., ::-1] makes an array of Pillow's image."
            )
        if not isinstance(image, np.ndarray) and Path(image).is_dir():
            raise ConfigError(f"'{image}' is a folder: stream() takes it, image by image.")
        model = self.inferencer.model
        if isinstance(model, SegTileModel):
            rows = open_image(self.inferencer, image)
            grid = TileGrid(rows.size, model.tile, model.overlap)
            if len(grid) > 1:
                return self._predict_in_tiles(image, model, rows, grid)
        [sample] = self.inferencer([image])
        task, _ = self._task_of(sample)
        return Prediction(
            path=None if isinstance(image, np.ndarray) else Path(image),
            segments=tuple(self.segments(sample, task)),
            task=task,
            sample=sample,
            draw=partial(self.inferencer.visualize, image, sample),
        )

    def _predict_in_tiles(
        self, image: ImageInput, model: SegTileModel, rows: ImageRows, grid: TileGrid
    ) -> TiledPrediction:
        result = predict_in_tiles(self.inferencer, model, rows, grid, lambda sample: self._task_of(sample)[1])
        sample = small_sample(result, self._things())
        return TiledPrediction(
            path=None if isinstance(image, np.ndarray) else Path(image),
            segments=tuple(self._segments(result.segments, result.field)),
            task=next(task for task, field in RESULTS.items() if field == result.field),
            sample=sample,
            draw=partial(draw_small, self.inferencer, result, sample),
            segment_map=result.segment_map,
            image_size=grid.size,
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
            raise UserError(_not_given(self.task, given))
        task = self.task or given[0]
        return task, RESULTS[task]

    def _things(self) -> Sequence[bool]:
        """Of each class, whether it is a thing."""
        return self.inferencer.dataset_meta.get('isthing') or (True,) * len(self.classes)

    def segments(self, sample: DetDataSample, task: str, score_thr: float | None = None) -> list[Segment]:
        """The segments of a result of ``self.inferencer``: things by score, then stuff by area.

        Args:
            sample: The result, which has those of ``task``.
            task: 'panoptic', 'instance' or 'semantic'.
            score_thr: Instances with lower scores are left out; by default the predictor's.
        """
        field = RESULTS[task]
        score_thr = self.inferencer.score_thr if score_thr is None else score_thr
        return self._segments(predicted_segments(sample, field, score_thr), field)

    def _segments(self, found: Sequence[PredictedSegment], field: str) -> list[Segment]:
        is_thing = self._things()
        category_ids = self.inferencer.dataset_meta.get('category_ids') or range(len(self.classes))
        segments = [
            Segment(
                id=segment.id,
                label=self.classes[segment.label],
                category_id=int(category_ids[segment.label]),
                isthing=field == 'pred_instances' or bool(is_thing[segment.label]),
                score=None if segment.score is None else float(segment.score),
                rle=segment.rle,
            )
            for segment in found
        ]
        if field == 'pred_panoptic_seg':
            segments.sort(key=lambda segment: (not segment.isthing, -(segment.score or 0)))
        return segments


def _not_given(task: str | None, given: Sequence[str]) -> str:
    """That a model gives no results of a task, in a sentence."""
    sentence = f'The model gives no {task} results' if task else 'The model gives no results'
    return f'{sentence}, but {" and ".join(given)} ones: choose one of these as task.' if given else f'{sentence}.'
