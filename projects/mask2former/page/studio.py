"""The model behind the page: one request at a time, results that are small enough to keep for each visitor."""

import io
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from mmdet.structures import DetDataSample
from PIL import Image

from mask2former.engine.unwrap import unwrap_model
from mask2former.errors import ConfigError
from mask2former.formats.frame_source import reduce_image
from mask2former.formats.rle import decode_mask
from mask2former.models.postprocess import PanopticFusion
from mask2former.predictions import Prediction, Predictor, Segment
from mask2former.visualization import SegLocalVisualizer
from mask2former.visualization.class_table import RGB, ClassTable
from mask2former.visualization.segment_map import SegmentColors, SegmentMap

from .photo import Photo

SHOWN_SIDE = 1600  # longest side of the picture that a browser gets, in pixels


@dataclass(frozen=True)
class Found:
    """What the model found in a photo.

    Attributes:
        name: File name of the photo.
        size: (H, W) of the results.
        original: (H, W) of the photo, which may have been reduced.
        jpeg: The photo as it is shown.
        segments: The segments of each task; of 'instance' all, whatever their scores.
        seconds: That the 'model' took, with preparing the photo and postprocessing, and the 'masks' of the segments.
    """

    name: str
    size: tuple[int, int]
    original: tuple[int, int]
    jpeg: bytes
    segments: Mapping[str, tuple[Segment, ...]]
    seconds: Mapping[str, float]

    def of_task(self, task: str, score_thr: float) -> list[Segment]:
        """The segments of a task; of 'instance' those of at least this score."""
        return [s for s in self.segments[task] if task != 'instance' or (s.score or 0) >= score_thr]


class Studio:
    """A model of images, its options, and its results as the page needs them.

    Args:
        predictor: The model.
        lock: Held while the model works.

    Attributes:
        tasks (tuple): What the model does, of 'panoptic', 'instance' and 'semantic'.
    """

    def __init__(self, predictor: Predictor, lock: threading.Lock) -> None:
        self.predictor, self.lock = predictor, lock
        bands = getattr(predictor.inferencer.load, 'bands', None)
        if bands not in (None, 3):
            raise ConfigError(f'The config reads images of {bands} bands, which browsers do not show: use `predict`.')
        parts = getattr(unwrap_model(predictor.inferencer.model), 'postprocessors', ())
        self.tasks = predictor.tasks
        if not self.tasks:
            raise ConfigError('The model gives no results to show: its config has no model.postprocessors.')
        self._fusion = next((part for part in parts if isinstance(part, PanopticFusion)), None)
        meta = predictor.inferencer.dataset_meta
        self.table = ClassTable(meta)
        ids = meta.get('category_ids') or range(len(predictor.classes))
        self._labels = {int(category): label for label, category in enumerate(ids)}

    @property
    def thresholds(self) -> tuple[float, float]:
        """The config's least score of a panoptic segment, and least share of its mask that it keeps."""
        return (0.0, 0.0) if self._fusion is None else (self._fusion.score_thr, self._fusion.overlap_thr)

    def find(self, photo: Photo, thresholds: tuple[float, float] | None = None) -> Found:
        """Run the model.

        Args:
            photo: The image.
            thresholds: Of panoptic segments; by default the config's.
        """
        inferencer = self.predictor.inferencer
        with self.lock, self._panoptic(thresholds):
            start = time.perf_counter()
            [sample] = inferencer([photo.image])
            done = time.perf_counter()
        segments = {task: tuple(self.predictor.segments(sample, task, score_thr=0.0)) for task in self.tasks}
        shown = reduce_image(photo.image, SHOWN_SIDE)
        _, jpeg = cv2.imencode('.jpg', shown, [cv2.IMWRITE_JPEG_QUALITY, 90])
        seconds = dict(model=done - start, masks=time.perf_counter() - done)
        return Found(photo.name, photo.image.shape[:2], photo.original, jpeg.tobytes(), segments, seconds)

    @contextmanager
    def _panoptic(self, thresholds: tuple[float, float] | None) -> Iterator[None]:
        """The thresholds of panoptic segments, for a while; the lock must be held."""
        if thresholds is None or self._fusion is None:
            yield
            return
        before = self._fusion.score_thr, self._fusion.overlap_thr
        self._fusion.score_thr, self._fusion.overlap_thr = thresholds
        try:
            yield
        finally:
            self._fusion.score_thr, self._fusion.overlap_thr = before

    def label(self, segment: Segment) -> int:
        """The label of a segment's class."""
        return self._labels[segment.category_id]

    def colors(self, segments: list[Segment]) -> dict[int, RGB]:
        """A colour of each segment by its id, as pictures have them: the larger of a class are nearer to its colour."""
        colors = SegmentColors(self.table)
        by_area = sorted(segments, key=lambda segment: -segment.area)
        return {segment.id: colors.next(self.label(segment), segment.isthing) for segment in by_area}

    def prediction(
        self, found: Found, task: str, segments: list[Segment], kept: list[Segment], alpha: float
    ) -> Prediction:
        """What the package writes files of: the ``kept`` ones of the ``segments``, in the colours of all of them."""
        return Prediction(
            path=Path(found.name),
            segments=tuple(kept),
            task=task,
            sample=DetDataSample(metainfo=dict(ori_shape=found.size)),
            draw=partial(self._draw, found, self.colors(segments), kept, task, alpha),
        )

    def _draw(
        self, found: Found, colors: Mapping[int, RGB], kept: list[Segment], task: str, alpha: float
    ) -> np.ndarray:
        """The photo with the segments, (height, width, 3) uint8 RGB."""
        panel = SegmentMap(np.zeros(found.size, np.int32), dim_void=False)
        for number, segment in enumerate(sorted(kept, key=lambda segment: -segment.area), 1):
            panel.id_map[decode_mask(segment.rle)] = number
            panel.colors.append(colors[segment.id])
            panel.texts.append(segment.label if segment.score is None else f'{segment.label} {segment.score:.2f}')
            if task == 'instance':
                panel.masks.append(segment.rle)
        visualizer = SegLocalVisualizer(name='page', alpha=alpha)
        photo = np.asarray(Image.open(io.BytesIO(found.jpeg)))
        return visualizer.draw_map(photo, panel)
