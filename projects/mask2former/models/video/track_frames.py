"""Tracking in a stream: frames go in one by one, and results come out as soon as they are known."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mask2former.errors import ConfigError
from mask2former.models.mask2former import Mask2Former
from mask2former.models.masks import Geometry, LazyMasks

from .frame_results import FrameResult, FrameResults
from .query_tracker import Clip, QueryTracker
from .video_mask2former import VideoMask2Former


class PreparedFrame(NamedTuple):
    """A frame as the test pipeline leaves it.

    Attributes:
        frame: (H, W, 3) uint8 BGR, as it came.
        inputs: (3, H', W') uint8, resized perhaps.
        geometry: What was done to it.
    """

    frame: np.ndarray
    inputs: Tensor
    geometry: Geometry


@torch.no_grad()
def track_frames(
    model: Mask2Former,
    frames: Iterable[PreparedFrame],
    tracker: QueryTracker,
    results: FrameResults,
    seen: Callable[[int], object] | None = None,
) -> Iterator[FrameResult]:
    """Track the objects of a video of any length, in as much memory as a clip needs.

    A model of images sees each frame alone; a clip is then what goes through it at once.

    Args:
        model: A model of images or of clips, in evaluation mode.
        frames: The frames, all of one size. They are taken when their clip is due.
        tracker: Cuts the video into clips and links them.
        results: What to make of a clip.
        seen: Called with a number of frames whenever backbone and pixel decoder have seen so many more; of those that
            clips share each time.

    Yields:
        FrameResult: Of each frame, in order; of a clip of T frames when the last of them is there.

    Raises:
        ConfigError: If clips overlap and the model sees frames alone.
    """
    if tracker.overlap and not isinstance(model, VideoMask2Former):
        raise ConfigError('tracking: a model of images links frame by frame; leave overlap out.')
    if model.sliding_window is not None:
        raise ConfigError('A model with a sliding_window cannot track; set model.sliding_window=None.')
    waiting: deque[np.ndarray] = deque()  # frames whose results are not known yet

    def taken() -> Iterator[PreparedFrame]:
        for frame in frames:
            waiting.append(frame.frame)
            yield frame

    def predicted() -> Iterator[Clip]:
        for part in tracker.cut(taken()):
            yield from predict_clips(model, [frame.inputs for frame in part], part[0].geometry, seen)

    index = 0
    for clip in tracker.link(predicted()):
        for fields in results(clip):
            yield FrameResult(index, waiting.popleft(), **fields)
            index += 1


def predict_clips(
    model: Mask2Former, frames: Sequence[Tensor], geometry: Geometry, seen: Callable[[int], object] | None = None
) -> list[Clip]:
    """What a model says of T frames (3, H, W) uint8: of one clip, or of one for each frame if it is one of images."""
    if isinstance(model, VideoMask2Former):
        return [model.predict_clip(frames, geometry, seen=seen)]
    inputs = model.data_preprocessor(dict(inputs=list(frames)))['inputs']  # (T, 3, H, W)
    output = model.extract(inputs).full_precision()
    if seen is not None:
        seen(len(frames))
    shape = (inputs.shape[2], inputs.shape[3])
    queries = [None] * len(inputs) if output.queries is None else output.queries.unbind()
    return [
        Clip(class_logits, query, [LazyMasks(embed, features, shape, **geometry)])
        for class_logits, query, embed, features in zip(
            output.class_logits[-1], queries, output.mask_embed[-1], output.mask_features
        )
    ]
