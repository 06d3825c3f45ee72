"""Mask2Former for videos: the model that wires the parts."""

from collections.abc import Iterator

import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from mask2former.errors import ConfigError
from mask2former.models.head import HeadOutput
from mask2former.models.mask2former import Mask2Former, geometry_of
from mask2former.models.masks import Geometry, LazyMasks
from mask2former.registry import MODELS

from .query_tracker import Clip, QueryTracker


@MODELS.register_module()
class VideoMask2Former(Mask2Former):
    """A :class:`Mask2Former` of clips, whose frames meet in the head.

    Its inputs are (B, T, 3, H, W), its mask logits (B, Q, T, H/4, W/4). Postprocessors get the clips of a video.

    Args:
        tracking: ``num_frames``, ``overlap`` and ``memory`` of the clips in which videos are tested, see
            :class:`QueryTracker`. By default a video is tested in one clip.
        frames_at_once: Frames that backbone and pixel decoder take at a time when testing: fewer need less memory, and
            give the same result.
        args: Those of :class:`Mask2Former`, by name, too; images are tested whole (no ``sliding_window``).
    """

    def __init__(self, *args, tracking: dict | None = None, frames_at_once: int = 8, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.tracker = QueryTracker(**(tracking or {}))
        if self.sliding_window is not None:
            raise ConfigError('VideoMask2Former has no sliding_window: leave it out.')
        self.frames_at_once = frames_at_once

    def extract(self, inputs: Tensor) -> HeadOutput:
        """Backbone and pixel decoder of all frames, then the head, of clips (B, T, 3, H, W)."""
        clips = inputs.shape[:2]
        frames = inputs.flatten(0, 1)  # (B*T, 3, H, W)
        few = len(frames) if torch.is_grad_enabled() else self.frames_at_once
        parts = [self.pixel_decoder(self.backbone(some)) for some in frames.split(few)]
        mask_features = torch.cat([features for features, _ in parts])  # (B*T, C, h, w)
        memory = [torch.cat(level) for level in zip(*(levels for _, levels in parts))]  # L times (B*T, C, h_l, w_l)
        return self.head(mask_features.unflatten(0, clips), [level.unflatten(0, clips) for level in memory])

    @staticmethod
    def name_of(sample: DetDataSample) -> str | int:
        """What messages call a clip."""
        return f'of video {sample.get("video_id", "?")}'

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list[DetDataSample]) -> list[DetDataSample]:
        """Results of a batch, set on the data samples at the videos' original size."""
        for frames, sample in zip(inputs, data_samples):
            self.postprocess_video(self.clips(frames, geometry_of(sample)), sample)
        return data_samples

    def postprocess_video(self, clips: Iterator[Clip], sample: DetDataSample) -> None:
        """Set a video's results on its data sample. Of one postprocessor, the clips do not exist together."""
        shared = clips if len(self.postprocessors) == 1 else list(clips)
        with torch.autocast(next(self.parameters()).device.type, enabled=False):
            for postprocessor in self.postprocessors:
                postprocessor(shared, self.isthing, sample)

    def clips(self, frames: Tensor, geometry: Geometry) -> Iterator[Clip]:
        """The clips of a video (T, 3, H, W), linked; the model runs on a clip when it is asked for."""
        device = frames.device.type
        enabled, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)

        def predict(part: list[Tensor]) -> Clip:
            # Clips are run among the postprocessing, which goes without autocast.
            with torch.autocast(device, dtype, enabled):
                return self.predict_clip(torch.stack(part), geometry)._replace(whole=len(part) == len(frames))

        return self.tracker.link(predict(part) for part in self.tracker.cut(frames))

    def predict_clip(self, frames: Tensor, geometry: Geometry) -> Clip:
        """The last decoder output for a clip (T, 3, H, W)."""
        output = self.extract(frames[None]).full_precision()
        embed, shape = output.mask_embed[-1, 0], (frames.shape[-2], frames.shape[-1])
        masks = [LazyMasks(embed, features, shape, **geometry) for features in output.mask_features[0]]
        return Clip(output.class_logits[-1, 0], None if output.queries is None else output.queries[0], masks)
