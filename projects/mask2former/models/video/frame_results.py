"""Results of a video frame by frame, as soon as they are known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mask2former.errors import ConfigError
from mask2former.models.mask2former import Mask2Former
from mask2former.models.postprocess import InstanceTopK, PanopticFusion, SemanticInference

from .clip_panoptic_fusion import fuse_clip
from .clip_semantic_inference import label_frames
from .query_tracker import Clip
from .track_top_k import TrackTopK, encode_masks

TASKS: dict[str, tuple[type, ...]] = dict(
    panoptic=(PanopticFusion,), instance=(TrackTopK, InstanceTopK), semantic=(SemanticInference,)
)

KEYS = ('id', 'label', 'isthing', 'score')


@dataclass(frozen=True)
class FrameResult:
    """The result of a frame.

    Attributes:
        index: Its place in the video, from 0 on.
        frame: (H, W, 3) uint8 BGR, or (H, W, N), as it came.
        tracks: Of an instance result ``dict(id, label, score, segmentation)`` of each object that is seen, the best
            score first; the segmentation is a run-length encoding. An id is the same object in all frames.
        id_map: Of a panoptic result (H, W) int32, 0 is void.
        segments_info: Of a panoptic result ``dict(id, label, isthing, score)`` of each segment of the frame. A thing
            has the same id in all frames, and so has each stuff class.
        sem_seg: Of a semantic result (H, W) int64 labels.
        time: Seconds from the beginning of the video, where that is known.
    """

    index: int
    frame: np.ndarray
    tracks: Sequence[dict] = ()
    id_map: Tensor | None = None
    segments_info: Sequence[dict] = ()
    sem_seg: Tensor | None = None
    time: float = 0.0


class FrameResults:
    """Makes results of frames of clips.

    Args:
        model: A model of images or of clips, whose postprocessors say what is a segment.
        task: 'panoptic', 'instance' or 'semantic'; None takes the first of them that the model has a postprocessor for.
        score_thr: Of an instance result, tracks of a lower score are left out. What is a panoptic segment is the
            postprocessor's to say.
        max_per_frame: Of an instance result, tracks of a frame.

    Raises:
        ConfigError: If there is no such task, or the model does not do it.
    """

    def __init__(
        self, model: Mask2Former, task: str | None = None, score_thr: float = 0.3, max_per_frame: int = 100
    ) -> None:
        found: dict[str, Any] = {
            name: part for name, kinds in TASKS.items() for part in model.postprocessors if isinstance(part, kinds)
        }
        if task is None:
            task = next((name for name in TASKS if name in found), None)
        if task not in found:
            raise ConfigError(
                f"The model gives {' and '.join(found) or 'no'} results, not '{task}'; choose another task, or a "
                'config with a postprocessor for it.'
            )
        if not 0 <= score_thr <= 1:
            raise ConfigError(f'score_thr must lie in 0 .. 1, but is {score_thr}.')
        self.task = task
        self.isthing = model.isthing
        self.score_thr = score_thr
        self.max_per_frame = max_per_frame
        self.postprocessor = found[task]
        self.of_clip = dict(panoptic=self.panoptic, instance=self.instance, semantic=self.semantic)[task]

    def __call__(self, clip: Clip) -> Iterator[dict]:
        """The fields of each frame of a clip that a :class:`FrameResult` has beside ``index`` and ``frame``."""
        return self.of_clip(clip)

    def panoptic(self, clip: Clip) -> Iterator[dict]:
        """``id_map`` and ``segments_info`` of each frame."""
        id_maps, segments = fuse_clip(self.postprocessor, clip, self.isthing)
        for id_map in id_maps:
            shown = set(id_map.unique().tolist())
            infos = [{key: segment[key] for key in KEYS} for segment in segments if segment['id'] in shown]
            yield dict(id_map=id_map.cpu(), segments_info=infos)

    def instance(self, clip: Clip) -> Iterator[dict]:
        """``tracks`` of each frame."""
        scores, labels = clip.class_logits.softmax(-1)[:, :-1].max(-1)  # (Q,)
        things = torch.tensor(self.isthing, dtype=torch.bool, device=labels.device)[labels]
        wanted = (things & (scores >= self.score_thr)).nonzero().flatten()
        wanted = wanted[scores[wanted].argsort(descending=True)[: self.max_per_frame]]  # (n,)
        values = list(zip(wanted.tolist(), labels[wanted].tolist(), scores[wanted].tolist()))
        for masks in clip.masks:
            rles = encode_masks(masks, wanted)
            yield dict(
                tracks=[
                    dict(id=1 + query, label=label, score=score, segmentation=rle)
                    for (query, label, score), rle in zip(values, rles)
                    if rle is not None
                ]
            )

    def semantic(self, clip: Clip) -> Iterator[dict]:
        """``sem_seg`` of each frame."""
        for labels in label_frames(self.postprocessor, clip):
            yield dict(sem_seg=labels.cpu())
