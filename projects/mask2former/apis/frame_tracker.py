"""Track the objects of a video with a model and its config: frames in, results out, one by one."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from mmengine.model import BaseModel

from mask2former.errors import ConfigError, DataError
from mask2former.models.video import FrameResult, FrameResults, PreparedFrame, QueryTracker, track_frames

from .frame_pipeline import FramePipeline

# The ways to go through a video by name, as arguments of QueryTracker.
TRACKING: dict[str, dict] = dict(
    whole=dict(), windows=dict(num_frames=8, overlap=2, memory=32), online=dict(num_frames=1, memory=16)
)


class FrameTracker:
    """A model of images or of videos that tracks in a stream of frames.

    ``for result in FrameTracker(model)(frames): ...`` gives a
    :class:`~mask2former.models.video.FrameResult` for each frame, in order, in as much memory as a clip needs. A model
    of images tracks without having seen a video.

    Args:
        model: What :func:`~mask2former.apis.init_model` gives.
        tracking: ``'online'``, frame by frame, results come at once; ``'windows'``, clips of 8 frames that overlap by
            2; ``'whole'``, the whole video at once, results come at the end; or ``dict(num_frames, overlap, memory)``,
            see :class:`~mask2former.models.video.QueryTracker`. A model of images sees each frame alone: it has no
            overlap, and of a whole video it takes 8 frames at a time.
        task: ``'panoptic'``, ``'instance'`` or ``'semantic'``; None takes the first of them that the model does.
        score_thr: Tracks of a lower score are left out of an instance result. What is a panoptic segment is the
            config's to say: ``model.postprocessors.panoptic.score_thr``.
        max_per_frame: Most tracks of a frame in an instance result.

    Attributes:
        whole (bool): Whether the video is tracked whole: it must end.

    Raises:
        ConfigError: If an option is wrong, or if the config has no test pipeline.
    """

    def __init__(
        self,
        model: BaseModel,
        *,
        tracking: str | dict = 'online',
        task: str | None = None,
        score_thr: float = 0.3,
        max_per_frame: int = 100,
    ) -> None:
        if isinstance(tracking, str) and tracking not in TRACKING:
            raise ConfigError(f"tracking must be one of {', '.join(TRACKING)}, not '{tracking}'.")
        options = dict(TRACKING[tracking] if isinstance(tracking, str) else tracking)
        self.prepare = FramePipeline(model.cfg)
        self.whole = options.get('num_frames') is None
        if not self.prepare.of_clips:
            if isinstance(tracking, str):
                options.pop('overlap', None)
            if self.whole:
                options['num_frames'] = TRACKING['windows']['num_frames']
        self.model = model
        self.tracker = QueryTracker(**options)
        self.results = FrameResults(model, task, score_thr, max_per_frame)

    @property
    def task(self) -> str:
        """The task: ``'panoptic'``, ``'instance'`` or ``'semantic'``."""
        return self.results.task

    def __call__(
        self, frames: Iterable[np.ndarray], seen: Callable[[int], object] | None = None
    ) -> Iterator[FrameResult]:
        """Track in a video.

        Args:
            frames: (H, W, 3) uint8 BGR each, all of one size; such as a generator that reads a camera. Where the
                config's pipeline reads images of N bands, (H, W, N) of the type of the training images.
            seen: Called with a number of frames whenever the model has seen so many more, before their results come.

        Yields:
            FrameResult: Of each frame.

        Raises:
            DataError: If a frame is no image or has another size than the first.
        """
        return track_frames(self.model, self._prepared(frames), self.tracker, self.results, seen)

    def _prepared(self, frames: Iterable[np.ndarray]) -> Iterator[PreparedFrame]:
        size = None
        for index, frame in enumerate(frames):
            prepared = self.prepare(frame)
            size = size or frame.shape[:2]
            if frame.shape[:2] != size:
                raise DataError(
                    f'Frame {index} of the video is {frame.shape[:2]} (H, W), but the first one is {size}: resize it, '
                    'or track the parts of the video apart.'
                )
            yield prepared
