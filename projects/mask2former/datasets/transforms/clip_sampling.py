"""Which frames of a video a clip has, and clips made of a single image."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mask2former.errors import ConfigError
from mask2former.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SampleFrames(BaseTransform):
    """Choose the frames of a clip, in ascending order.

    A reference frame is drawn from all labelled ones, and the others, with replacement, from the labelled ones at most
    ``frame_range`` before or after it; where there are none, as in a video of one frame, the reference frame is
    repeated.

    As in the reference's data set mapper of YouTube-VIS, which does not take a video of one frame.

    Needs ``frames`` (T paths) and ``labelled_frames``.
    Sets ``frame_ids``, the places of the clip's frames in the video.

    Args:
        num_frames: Frames of a clip; None takes all frames of the video, for a test.
        frame_range: Frames on each side of the reference frame.

    Raises:
        ConfigError: If a number is impossible.
    """

    def __init__(self, num_frames: int | None = 2, frame_range: int = 20) -> None:
        if num_frames is not None and num_frames < 1:
            raise ConfigError(f'SampleFrames: num_frames is {num_frames}; give 1 or more, or None for all of a video.')
        if frame_range < 1:
            raise ConfigError(f'SampleFrames: frame_range is {frame_range}; give 1 or more frames.')
        self.num_frames = num_frames
        self.frame_range = frame_range

    def transform(self, results: dict) -> dict:
        """Choose the frames."""
        if self.num_frames is None:
            return dict(results, frame_ids=list(range(len(results['frames']))))
        labelled = np.asarray(results['labelled_frames'])
        reference = int(np.random.choice(labelled))
        near = labelled[(labelled != reference) & (np.abs(labelled - reference) <= self.frame_range)]
        others = np.random.choice(near if near.size else labelled[labelled == reference], self.num_frames - 1)
        return dict(results, frame_ids=sorted([reference, *others.tolist()]))

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_frames={self.num_frames}, frame_range={self.frame_range})'


@TRANSFORMS.register_module()
class ImageAsVideo(BaseTransform):
    """Make a video of an image, whose frames are all the same: a pseudo video.

    In place of :class:`SampleFrames`, first in the pipeline of a :class:`~mask2former.datasets.CocoInstanceFormat`.
    With ``TransformClip(shared=False)`` each frame is augmented in its own way. VITA (arXiv 2206.04403) and SeqFormer
    (arXiv 2112.08275) train on such clips of COCO beside those of videos.

    Needs ``img_path, img_id, height, width, instances`` of an image.
    Sets what an item of :class:`~mask2former.datasets.YouTubeVISFormat` has, and ``frame_ids``.

    Args:
        num_frames: Frames of the clip.

    Raises:
        ConfigError: If ``num_frames`` is not 1 or more.
    """

    def __init__(self, num_frames: int = 2) -> None:
        if num_frames < 1:
            raise ConfigError(f'ImageAsVideo: num_frames is {num_frames}; give 1 or more.')
        self.num_frames = num_frames

    def transform(self, results: dict) -> dict:
        """Make a video of the image."""
        places = list(range(self.num_frames))
        return dict(
            video_id=results['img_id'],
            frames=[results['img_path']] * self.num_frames,
            height=results['height'],
            width=results['width'],
            labelled_frames=places,
            frame_ids=places,
            instances=[self._track(i, instance) for i, instance in enumerate(results['instances'], start=1)],
        )

    def _track(self, number: int, instance: dict) -> dict:
        keys = ('label', 'iscrowd', 'category_id')
        segmentations: Sequence = [instance['segmentation']] * self.num_frames
        return dict({key: instance[key] for key in keys}, id=number, segmentations=segmentations)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_frames={self.num_frames})'
