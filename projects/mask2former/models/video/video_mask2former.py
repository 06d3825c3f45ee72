"""Mask2Former for videos: the model that wires the parts."""

from collections.abc import Sequence

import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from mask2former.errors import ConfigError
from mask2former.models.head import HeadOutput
from mask2former.models.mask2former import Mask2Former, geometry_of
from mask2former.models.masks import LazyMasks
from mask2former.registry import MODELS


@MODELS.register_module()
class VideoMask2Former(Mask2Former):
    """A :class:`Mask2Former` of clips, whose frames meet in the head.

    Its inputs are (B, T, 3, H, W), its mask logits (B, Q, T, H/4, W/4). Postprocessors get the masks of all frames.

    Args:
        frames_at_once: Frames that backbone and pixel decoder take at a time when testing: fewer need less memory, and
            give the same result.
        args: Those of :class:`Mask2Former`, by name, too; images are tested whole (no ``sliding_window``).
    """

    def __init__(self, *args, frames_at_once: int = 8, **kwargs) -> None:
        super().__init__(*args, **kwargs)
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
        output = self.extract(inputs).full_precision()
        with torch.autocast(inputs.device.type, enabled=False):
            for b, sample in enumerate(data_samples):
                frames = self.masks_of_frames(output, b, (inputs.shape[-2], inputs.shape[-1]), sample)
                for postprocessor in self.postprocessors:
                    postprocessor(output.class_logits[-1, b], frames, self.isthing, sample)
        return data_samples

    @staticmethod
    def masks_of_frames(
        output: HeadOutput, b: int, shape: tuple[int, int], sample: DetDataSample
    ) -> Sequence[LazyMasks]:
        """The masks of the last decoder output in each of the T frames of clip ``b``."""
        geometry = geometry_of(sample)
        return [
            LazyMasks(output.mask_embed[-1, b], features, shape, **geometry) for features in output.mask_features[b]
        ]
