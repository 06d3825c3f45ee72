"""Panoptic videos: the fusion of an image with a time axis."""

from collections.abc import Iterable, Sequence

import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from mask2former.models.postprocess import PanopticFusion
from mask2former.registry import TASK_UTILS

from .query_tracker import Clip


@TASK_UTILS.register_module()
class ClipPanopticFusion(PanopticFusion):
    """A :class:`PanopticFusion` of clips: areas and their overlap are those of all frames of a clip together.

    A thing has one id in the whole video, and so has each stuff class. A video in several clips is fused clip by clip.

    Args:
        args: Those of :class:`PanopticFusion`.
    """

    predicts = 'pred_panoptic_video'

    def __call__(  # type: ignore[override]  # of videos, not of images
        self, clips: Iterable[Clip], isthing: Sequence[bool], sample: DetDataSample
    ) -> None:
        """Set ``sample.pred_panoptic_video``.

        Args:
            clips: The clips of a video, one after the other.
            isthing: Of every class, whether it is a thing. Segments of one stuff class are merged.
            sample: Where the result goes: ``dict(id_maps, segments_info)`` of all T frames. The class of a thing is
                that in the last clip that shows it.
        """
        maps: list[Tensor] = []
        segments_info: dict[int, dict] = {}
        for clip in clips:
            id_maps, segments = fuse_clip(self, clip, isthing)
            maps += [id_map.cpu() for id_map in id_maps]
            for segment in segments:
                segments_info[segment['id']] = dict(id=segment['id'], label=segment['label'])
        sample.pred_panoptic_video = dict(id_maps=maps, segments_info=list(segments_info.values()))


def fuse_clip(fusion: PanopticFusion, clip: Clip, isthing: Sequence[bool]) -> tuple[list[Tensor], list[dict]]:
    """What :meth:`PanopticFusion.fuse` gives for a clip, with ids that are the same in all clips of a video.

    They are 1 to Q for things, by their tracks, and above for stuff, by its class.
    """
    id_maps, segments = fusion.fuse(clip.class_logits, clip.masks, isthing)
    num_queries = len(clip.class_logits)
    segments = [
        dict(segment, id=1 + (segment['query'] if segment['isthing'] else num_queries + segment['label']))
        for segment in segments
    ]
    ids = torch.tensor([0, *(segment['id'] for segment in segments)], dtype=torch.int32, device=id_maps[0].device)
    return [ids[id_map.long()] for id_map in id_maps], segments
