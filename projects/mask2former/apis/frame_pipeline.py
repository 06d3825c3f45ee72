"""From a frame to what a model takes, as the config's test pipeline makes it of images or of clips."""

from typing import Any

import numpy as np
from mmengine.config import Config

from mask2former.datasets.transforms import LoadFrames
from mask2former.errors import DataError
from mask2former.formats.bands import KEPT, is_image
from mask2former.formats.images import is_bgr
from mask2former.models.mask2former import geometry_of
from mask2former.models.video import PreparedFrame

from .build import build_test_pipeline, build_test_transforms, run_transforms


class FramePipeline:
    """The transforms of a config's test data set, for frames in memory.

    Args:
        config: A config of images, or one of videos, whose pipeline has ``LoadFrames``.

    Raises:
        ConfigError: If the config has no test pipeline, or it reads neither images nor frames.
    """

    def __init__(self, config: Config) -> None:
        transforms = build_test_transforms(config)
        reader = next((i for i, transform in enumerate(transforms) if isinstance(transform, LoadFrames)), None)
        self.of_clips = reader is not None
        self.bands: int | None
        if reader is None:
            load, self.transforms = build_test_pipeline(config)
            self.bands = getattr(load, 'bands', None)
        else:
            self.transforms = transforms[reader + 1 :]
            self.bands = transforms[reader].load.bands

    def __call__(self, frame: np.ndarray) -> PreparedFrame:
        """Prepare a frame (H, W, 3) uint8 BGR, or (H, W, N) where the pipeline reads images of N bands.

        Raises:
            DataError: If it is something else.
            ConfigError: If a transform refuses it.
        """
        if self.bands is not None and not is_image(frame, self.bands):
            raise DataError(
                f'A frame must be an array (H, W, {self.bands}) of {", ".join(KEPT)}, but it is '
                f'{getattr(frame, "dtype", type(frame).__name__)} of shape {getattr(frame, "shape", "?")}; convert it '
                'first.'
            )
        if self.bands is None and not (isinstance(frame, np.ndarray) and is_bgr(frame)):
            raise DataError(
                'A frame must be an array (H, W, 3) uint8 in the order BGR, but it is '
                f'{getattr(frame, "dtype", type(frame).__name__)} of shape {getattr(frame, "shape", "?")}; '
                'cv2.cvtColor converts grey and RGB.'
            )
        results: Any = dict(img=frame, img_path='', img_shape=frame.shape[:2], ori_shape=frame.shape[:2])
        if self.bands is not None:
            results['bands'] = self.bands
        if self.of_clips:
            results = dict(clip=[results], video_id=0, frames=[''], frame_ids=[0])
        results = run_transforms(self.transforms, results, 'a frame')
        inputs = results['inputs'][0] if self.of_clips else results['inputs']  # (3, H', W')
        return PreparedFrame(frame, inputs, geometry_of(results['data_samples']))
