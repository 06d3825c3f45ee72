"""Mask2Former for videos: the model that wires the parts."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from mask2former.errors import ConfigError
from mask2former.models.head import HeadOutput
from mask2former.models.mask2former import Mask2Former, geometry_of
from mask2former.models.masks import Geometry, LazyMasks
from mask2former.ops.precision import full_precision
from mask2former.registry import MODELS

from .query_tracker import Clip, QueryTracker

MAX_FRAMES = 8  # at a time
MAX_PIXELS_CPU = 2**20


def is_of_images(model: object) -> bool:
    """Whether a model is of this family, and takes images and not clips."""
    return isinstance(model, Mask2Former) and not isinstance(model, VideoMask2Former)


@MODELS.register_module()
class VideoMask2Former(Mask2Former):
    """A :class:`Mask2Former` of clips, whose frames meet in the head.

    Its inputs are (B, T, 3, H, W), its mask logits (B, Q, T, H/4, W/4). Postprocessors get the clips of a video.

    Args:
        tracking: ``num_frames``, ``overlap`` and ``memory`` of the clips in which videos are tested, see
            :class:`QueryTracker`. By default a video is tested in one clip.
        frames_at_once: Frames that backbone and pixel decoder take, and queries look at, at a time when testing: fewer
            need less memory, and give the same result up to rounding. By default 8; on CPUs, which a large frame alone
            keeps busy, no more than have ``MAX_PIXELS_CPU`` together, but one at least.
        half_features: Whether the mask features of a video are kept in half precision when testing, in half the memory;
            edges of masks differ a little then.
        args: Those of :class:`Mask2Former`, by name, too; images are tested whole (no ``sliding_window``).
    """

    def __init__(
        self,
        *args,
        tracking: dict | None = None,
        frames_at_once: int | None = None,
        half_features: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.tracker = QueryTracker(**(tracking or {}))
        if self.sliding_window is not None:
            raise ConfigError('VideoMask2Former has no sliding_window: leave it out.')
        self.frames_at_once = frames_at_once
        self.half_features = half_features

    def extract(self, inputs: Tensor) -> HeadOutput:  # type: ignore[override]  # its heads draw nothing
        """Backbone and pixel decoder of all frames, then the head, of clips (B, T, 3, H, W)."""
        frames = inputs.flatten(0, 1)  # (B*T, 3, H, W)
        few = len(frames) if torch.is_grad_enabled() else self.few_frames(frames)
        mask_features, memory = self.encode(
            frames.split(few), len(frames)
        )  # (B*T, C, h, w), L times (B*T, C, h_l, w_l)
        clips = inputs.shape[:2]
        return self.head(mask_features.unflatten(0, clips), [level.unflatten(0, clips) for level in memory], few)

    def few_frames(self, frames: Tensor | Sequence[Tensor]) -> int:
        """How many of the frames (3, H, W) go through the model at a time."""
        if self.frames_at_once is not None:
            return self.frames_at_once
        most = MAX_PIXELS_CPU // frames[0][0].numel() if next(self.parameters()).device.type == 'cpu' else MAX_FRAMES
        return min(max(most, 1), MAX_FRAMES)

    def encode(
        self,
        parts: Iterable[Tensor],
        num_frames: int,
        dtype: torch.dtype | None = None,
        seen: Callable[[int], object] | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Backbone and pixel decoder, part by part.

        Args:
            parts: Frames (t, 3, H, W), normalised; taken when they are due.
            num_frames: F, of all parts together.
            dtype: What to keep the mask features in; None for what they are.
            seen: Called after each part with its number of frames, to show how far it is.

        Returns:
            tuple: Mask features (F, C, h, w), and L maps (F, C, h_l, w_l).
        """
        kept: list[Tensor] = []
        start = 0
        for part in parts:
            mask_features, memory = self.pixel_decoder(self.backbone(part))
            if seen is not None:
                seen(len(part))
            if len(part) == num_frames and dtype is None:
                return mask_features, memory
            if not kept:  # filled part by part: to concatenate them would need twice the memory
                dtypes = (dtype or mask_features.dtype, *(level.dtype for level in memory))
                kept = [
                    x.new_empty((num_frames, *x.shape[1:]), dtype=kind)
                    for x, kind in zip((mask_features, *memory), dtypes)
                ]
            for whole, x in zip(kept, (mask_features, *memory)):
                whole[start : start + len(part)] = x
            start += len(part)
            del part, mask_features, memory, x  # while the next ones are computed
        return kept[0], kept[1:]

    @staticmethod
    def name_of(sample: DetDataSample) -> str | int:
        """What messages call a clip."""
        return f'of video {sample.get("video_id", "?")}'

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list[DetDataSample]) -> list[DetDataSample]:
        """Results of a batch, set on the data samples at the videos' original size.

        Args:
            inputs: (B, T, 3, H, W), normalised and padded.
            data_samples: B.
        """
        for frames, sample in zip(inputs, data_samples):
            self.postprocess_video(self.clips(frames, geometry_of(sample), normalised=True), sample)
        return data_samples

    @torch.no_grad()
    def test_step(self, data: dict) -> list[DetDataSample]:
        """Results of a batch ``dict(inputs, data_samples)`` as the data loader gives it: B videos (T, 3, H, W), which
        are normalised a few frames at a time."""
        for frames, sample in zip(data['inputs'], data['data_samples']):
            self.postprocess_video(self.clips(frames, geometry_of(sample)), sample)
        return data['data_samples']

    def val_step(self, data: dict) -> list[DetDataSample]:
        """As :meth:`test_step`."""
        return self.test_step(data)

    def postprocess_video(self, clips: Iterator[Clip], sample: DetDataSample) -> None:
        """Set a video's results on its data sample. Of one postprocessor, the clips do not exist together."""
        shared = clips if len(self.postprocessors) == 1 else list(clips)
        with torch.autocast(next(self.parameters()).device.type, enabled=False):
            for postprocessor in self.postprocessors:
                postprocessor(shared, self.isthing, sample)

    def clips(self, frames: Tensor, geometry: Geometry, normalised: bool = False) -> Iterator[Clip]:
        """The clips of a video (T, 3, H, W), linked; the model runs on a clip when it is asked for."""
        device = next(self.parameters()).device.type
        enabled, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)

        def predict(part: list[Tensor]) -> Clip:
            # Clips are run among the postprocessing, which goes without autocast.
            with torch.autocast(device, dtype, enabled):
                clip = self.predict_clip(part, geometry, normalised)
            return clip._replace(whole=len(part) == len(frames))

        return self.tracker.link(predict(part) for part in self.tracker.cut(frames))

    def predict_clip(
        self,
        frames: Tensor | Sequence[Tensor],
        geometry: Geometry,
        normalised: bool = False,
        seen: Callable[[int], object] | None = None,
    ) -> Clip:
        """The last decoder output for a clip.

        Args:
            frames: T of (3, H, W).
            geometry: What was done to them.
            normalised: Whether they are normalised and padded, or as the data loader gives them.
            seen: As of :meth:`encode`.
        """
        few = self.few_frames(frames)
        parts: Iterable[Tensor] = (torch.stack(list(frames[t : t + few])) for t in range(0, len(frames), few))
        if not normalised:
            parts = (self.data_preprocessor(dict(inputs=[part]))['inputs'][0] for part in parts)
        mask_features, memory = self.encode(parts, len(frames), torch.half if self.half_features else None, seen)
        output = self.head(mask_features[None], [level[None] for level in memory], few)
        class_logits, embed = full_precision(output.class_logits[-1, 0], output.mask_embed[-1, 0])
        mask_features = mask_features if self.half_features else mask_features.to(embed.dtype)
        divisor = self.data_preprocessor.size_divisor
        H, W = (-(-side // divisor) * divisor for side in frames[0].shape[-2:])
        masks = [LazyMasks(embed, features, (H, W), **geometry) for features in mask_features]
        return Clip(class_logits, None if output.queries is None else output.queries[0].to(embed.dtype), masks)
