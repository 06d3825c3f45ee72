"""Run a trained model on videos: from files, cameras or folders to tracks and pictures, frame by frame."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import cached_property

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel

from mask2former.errors import ConfigError, UserError
from mask2former.formats.frame_source import FrameSource
from mask2former.formats.video_frames import VideoInput, open_frames
from mask2former.models.video import FrameResult
from mask2former.visualization import SegLocalVisualizer

from .build import init_model
from .frame_tracker import FrameTracker


class VideoInferencer:
    """A model that finds and tracks the objects of videos; one of images does so frame by frame.

    ``for result in VideoInferencer(config, checkpoint)('video.mp4'): ...``

    Args:
        config: A config or the path of one.
        checkpoint: The weights; see :func:`init_model`.
        device: By default the GPU if there is one.
        tracking: As of :class:`FrameTracker`: ``'online'``, ``'windows'``, ``'whole'`` or a dict.
        task: As of :class:`FrameTracker`: ``'panoptic'``, ``'instance'`` or ``'semantic'``.
        score_thr: Tracks of a lower score are left out of instance results.

    Attributes:
        dataset_meta (dict): ``classes``, ``isthing``, ``palette`` and ``category_ids`` of the model.

    Raises:
        ConfigError: If an option is wrong, if the config has no test pipeline, or if it reads images of other than
            three bands; also what :func:`init_model` raises.
    """

    def __init__(
        self,
        config: str | os.PathLike | Config,
        checkpoint: str | os.PathLike,
        *,
        device: str | torch.device | None = None,
        tracking: str | dict = 'online',
        task: str | None = None,
        score_thr: float = 0.3,
    ) -> None:
        self._use(init_model(config, checkpoint, device), tracking, task, score_thr)

    @classmethod
    def of_model(
        cls, model: BaseModel, *, tracking: str | dict = 'online', task: str | None = None, score_thr: float = 0.3
    ) -> 'VideoInferencer':
        """The same of a model that is there, such as ``SegInferencer(...).model``; arguments as of the class."""
        inferencer = cls.__new__(cls)
        inferencer._use(model, tracking, task, score_thr)
        return inferencer

    def _use(self, model: BaseModel, tracking: str | dict, task: str | None, score_thr: float) -> None:
        self.tracker = FrameTracker(model, tracking=tracking, task=task, score_thr=score_thr)
        bands = self.tracker.prepare.bands
        if bands not in (None, 3):
            raise ConfigError(
                f'The config reads images of {bands} bands, but videos have three: give the frames as arrays to '
                'FrameTracker(init_model(config, checkpoint)).'
            )
        # To torch's types each attribute of a module is a tensor or a module.
        self.dataset_meta: dict = model.dataset_meta  # type: ignore[assignment]

    @cached_property
    def visualizer(self) -> SegLocalVisualizer:
        """What draws results; made when it is asked for, since it needs matplotlib."""
        visualizer = SegLocalVisualizer()
        visualizer.dataset_meta = self.dataset_meta
        return visualizer

    def __call__(
        self,
        source: VideoInput | FrameSource,
        *,
        every: int = 1,
        max_side: int | None = None,
        fps: float | None = None,
        seen: Callable[[int], object] | None = None,
    ) -> Generator[FrameResult, None, None]:
        """Track in a video.

        Args:
            source: What :func:`~mask2former.formats.video_frames.open_frames` opens, or gives.
            every: As of ``open_frames``, and so are the other two.
            max_side: Results have the size of the reduced frames.
            fps: Of images.
            seen: Called with a number of frames whenever the model has seen so many more, before their results come.

        Returns:
            Generator[FrameResult]: One for each frame, as soon as it is known; ``index`` is its place in the video,
            ``time`` is in seconds. Where the source fails, results of what it gave come before the error.

        Raises:
            MissingFileError: If there is no such video.
            ConfigError: If an option is wrong.
            DataError: If the video cannot be read, or not to its end.
        """
        if not isinstance(source, FrameSource):
            source = open_frames(source, every=every, max_side=max_side, fps=fps)
        elif (every, max_side, fps) != (1, None, None):
            raise ConfigError('The video is open: every, max_side and fps are for open_frames.')
        if source.live and self.tracker.whole:
            raise ConfigError(f"'{source.name}' has no end, so that it cannot be tracked whole: track 'online'.")
        return self._track(source, seen)

    def _track(self, source: FrameSource, seen: Callable[[int], object] | None) -> Generator[FrameResult, None, None]:
        taken: deque[tuple[int, float]] = deque()  # of frames whose results are not known yet
        failure: UserError | None = None

        def images() -> Iterator[np.ndarray]:
            nonlocal failure
            try:
                for place, seconds, image in source:
                    taken.append((place, seconds))
                    yield image
            except UserError as error:
                failure = error

        for result in self.tracker(images(), seen):
            place, seconds = taken.popleft()
            yield replace(result, index=place, time=seconds)
        if failure is not None:
            raise failure

    def draw(self, result: FrameResult) -> np.ndarray:
        """Draw a result on its frame: (height, width, 3) uint8 in the order RGB."""
        return self.visualizer.draw_frame(cv2.cvtColor(result.frame, cv2.COLOR_BGR2RGB), result)
