"""Semantic videos: the inference of images, frame by frame."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from torch import Tensor

from mask2former.models.postprocess import SemanticInference
from mask2former.registry import TASK_UTILS

from .query_tracker import Clip


@TASK_UTILS.register_module()
class ClipSemanticInference(SemanticInference):
    """A :class:`SemanticInference` of the frames of clips, whose queries have one class for the clip.

    Args:
        args: Those of :class:`SemanticInference`.
    """

    def __call__(  # type: ignore[override]  # of videos, not of images
        self, clips: Iterable[Clip], isthing: Sequence[bool], sample: DetDataSample
    ) -> None:
        """Set ``sample.pred_sem_seg``, ``PixelData(sem_seg (T, H, W) int16)`` of labels.

        Args:
            clips: The clips of a video, one after the other.
            isthing: Not needed here; every postprocessor is called alike.
            sample: Where the result goes.
        """
        frames = [labels.short().cpu() for clip in clips for labels in label_frames(self, clip)]
        sample.pred_sem_seg = PixelData(sem_seg=torch.stack(frames))


def label_frames(inference: SemanticInference, clip: Clip) -> Iterator[Tensor]:
    """The labels (H, W) int64 of each frame of a clip."""
    for masks in clip.masks:
        yield inference.labels(clip.class_logits, masks)
