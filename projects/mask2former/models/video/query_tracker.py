"""Tracks over more frames than the model sees at once: queries of one clip are found again in the next."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mask2former.errors import ConfigError, NonFiniteError
from mask2former.models.masks import LazyMasks
from mask2former.ops.assignment import linear_sum_assignment
from mask2former.ops.linear import linear

Frame = TypeVar('Frame')


class Clip(NamedTuple):
    """The last decoder output for T frames in succession.

    Attributes:
        class_logits: (Q, K + 1).
        queries: (Q, C), see :class:`~mask2former.models.HeadOutput`.
        masks: Of each frame.
        whole: Whether these are all frames of the video.
    """

    class_logits: Tensor
    queries: Tensor | None
    masks: Sequence[LazyMasks]
    whole: bool = False

    def reorder(self, order: Tensor) -> 'Clip':
        """The same with query ``order[i]`` in the place i; ``order`` is (Q,)."""
        assert self.queries is not None
        embed = self.masks[0].mask_embed[order]  # all frames have the same
        masks = [replace(frame, mask_embed=embed) for frame in self.masks]
        return self._replace(class_logits=self.class_logits[order], queries=self.queries[order], masks=masks)


class QueryTracker:
    """Cuts a video into clips of a few frames, and finds the queries of each clip again in the next.

    The queries of a clip are assigned to those of the clip before, one to one, so that the sum of the cosines between
    their embeddings is largest, and, where clips overlap, of the IoUs of their masks in the frames that both have. A
    track is what stays in one place: there are Q of them from the first frame on, and one that is not seen has an empty
    mask. With clips of one frame this is MinVIS (Huang et al., arXiv 2208.02245, section 3.2).

    The class of a track is that of the mean of its class logits over the frames until then.

    Args:
        num_frames: T, frames of a clip; the last one may have fewer. None for one clip of the whole video.
        overlap: Frames that a clip shares with the one before. What counts there is the former clip's result.
        memory: How many frames back the mean of the class logits goes: what is older fades. None for all frames, as in
            MinVIS; a stream needs a number, else what enters late counts too little.

    Raises:
        ConfigError: If the numbers do not fit together.
    """

    def __init__(self, num_frames: int | None = None, overlap: int = 0, memory: int | None = None) -> None:
        for name, value, least in (('num_frames', num_frames, 1), ('overlap', overlap, 0), ('memory', memory, 1)):
            if value is not None and (value != int(value) or value < least):
                raise ConfigError(f'tracking: {name} must be a whole number from {least} on, but is {value!r}.')
        if overlap >= (num_frames or overlap + 1):
            raise ConfigError(
                f'tracking: clips of num_frames={num_frames} cannot overlap by {overlap} frames; choose an overlap '
                'below num_frames.'
            )
        self.num_frames = num_frames
        self.overlap = overlap if num_frames else 0
        self.memory = memory

    def cut(self, frames: Iterable[Frame]) -> Iterator[list[Frame]]:
        """The frames of each clip; a frame is taken when its clip is due."""
        clip: list[Frame] = []
        start = 0  # frames of the clip that the one before has, too
        for frame in frames:
            clip.append(frame)
            if len(clip) == self.num_frames:
                yield clip
                start = self.overlap
                clip = clip[self.num_frames - start :]
        if len(clip) > start:
            yield clip

    def link(self, clips: Iterable[Clip]) -> Iterator[Clip]:
        """Of each clip its frames that are new, with the queries in the order of the tracks and the tracks' classes.

        Raises:
            NonFiniteError: If embeddings or masks are not finite.
        """
        last, tail, mean, frames = None, None, None, 0
        for clip in clips:
            start = 0 if mean is None else self.overlap
            if last is not None and clip.queries is not None:
                shared = [_inside(masks) for masks in clip.masks[:start]]
                clip = clip.reorder(match_queries(last, clip.queries, tail, torch.cat(shared, 1) if shared else None))
            new = len(clip.masks) - start
            frames += new
            if mean is None:
                mean = clip.class_logits
            else:
                mean = mean + (clip.class_logits - mean) * min(new / min(frames, self.memory or frames), 1)
            last = clip.queries
            if self.overlap:
                tail = torch.cat([_inside(masks) for masks in clip.masks[-self.overlap :]], 1)
            yield clip._replace(class_logits=mean, masks=clip.masks[start:])
            del clip  # while the next one is computed


def match_queries(
    former: Tensor, queries: Tensor, former_inside: Tensor | None = None, inside: Tensor | None = None
) -> Tensor:
    """Which query goes with each of the former ones.

    Args:
        former: (Q, C) embeddings.
        queries: (Q, C) embeddings.
        former_inside: (Q, pixels) of zeros and ones: the former queries' masks in the frames that both have seen.
        inside: (Q, pixels), the masks of the queries there.

    Returns:
        Tensor: (Q,) int64, for each former query the one that is assigned to it.

    Raises:
        NonFiniteError: If a value is not finite.
    """
    gain = F.normalize(former, dim=1) @ F.normalize(queries, dim=1).T  # (Q, Q) cosines
    if inside is not None and former_inside is not None:
        common = linear(former_inside, inside)
        gain = gain + common / (former_inside.sum(1)[:, None] + inside.sum(1) - common).clamp(min=1)
    if not gain.isfinite().all():
        raise NonFiniteError(
            'The queries of a frame are NaN or infinite, so tracks cannot go on: check the checkpoint, or take float32.'
        )
    order = linear_sum_assignment(gain.cpu().numpy(), maximize=True)[1]
    return torch.from_numpy(order).to(queries.device)


def _inside(masks: LazyMasks) -> Tensor:
    """Where a frame's masks are positive, at the size of the mask features: (Q, pixels) of zeros and ones."""
    logits = linear(masks.mask_embed, masks.mask_features.to(masks.mask_embed.dtype).flatten(1).T)
    h, w = (
        -(-side * small // padded)
        for side, small, padded in zip(masks.img_shape, masks.mask_features.shape[1:], masks.batch_shape)
    )
    return (logits > 0).to(logits.dtype).unflatten(1, masks.mask_features.shape[1:])[:, :h, :w].flatten(1)
