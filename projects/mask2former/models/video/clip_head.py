"""The transformer decoder over the frames of a clip (Cheng et al., arXiv 2112.10764, section 2.1)."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mask2former.models.head import HeadOutput, Level, MaskedAttentionHead, resize
from mask2former.models.layers import MemoryPart, sine_encoding
from mask2former.ops.linear import products
from mask2former.registry import MODELS


@MODELS.register_module()
class ClipHead(MaskedAttentionHead):
    """A :class:`MaskedAttentionHead` whose queries attend to the tokens of all frames at once.

    It takes mask features (B, T, C, h, w) and maps (B, T, C, h_l, w_l), and has no weight more. A query has one class
    and one mask embedding for the clip. Its attention mask is that of every frame; it looks everywhere only if it is
    empty in all frames. Positions have a third part, which tells the frame: its place in the clip, not in the video.
    Of a clip of one frame that part is not zero, so that its result is not that of the image, as in the reference.

    Args:
        time_position: Whether positions tell the frame. Without it the order of the frames has no meaning, and a clip
            of one frame is an image.
        args: Those of :class:`MaskedAttentionHead`, by name, too.
    """

    def __init__(self, *args, time_position: bool = True, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.time_position = time_position
        self.frames_at_once: int | None = None

    def forward(self, mask_features: Tensor, memory: list[Tensor], frames_at_once: int | None = None) -> HeadOutput:
        """Predict classes and mask embeddings; see :meth:`MaskedAttentionHead.forward`.

        Args:
            mask_features: (B, T, C, h, w), of half precision perhaps.
            memory: L maps (B, T, C, h_l, w_l), from coarse to fine.
            frames_at_once: How many frames the queries look at at a time: for inference on long clips. The result is
                the same up to rounding. None for all.
        """
        in_parts = (
            frames_at_once is not None
            and frames_at_once < mask_features.shape[1]
            and self.level_schedule != 'concat'
            and not torch.is_grad_enabled()
        )
        self.frames_at_once = frames_at_once if in_parts else None
        return super().forward(mask_features, memory)

    def make_level(self, index: int, x: Tensor, mask_features: Tensor) -> 'Level | LevelParts':  # type: ignore[override]
        """What there is to attend to in a level's maps (B, T, C, h_l, w_l), frame after frame."""
        B, T, C = x.shape[:3]
        time = None  # (T, 1, C)
        if self.time_position:
            time = sine_encoding(T, C, x.device, self.query_embed.weight.dtype)[:, None]

        def make_tokens(frames: slice) -> tuple[Tensor, Tensor]:
            tokens, positions = self.make_tokens(index, x[:, frames].flatten(0, 1))  # (B*t, S, C), (S, C)
            positions = positions.expand(len(tokens) // B, -1, -1)  # (t, S, C)
            positions = positions if time is None else positions + time[frames]
            return tokens.unflatten(0, (B, -1)).flatten(1, 2), positions.flatten(0, 1)  # (B, t*S, C), (t*S, C)

        def make_features(frames: slice) -> Tensor:
            features = resize(mask_features[:, frames].flatten(0, 1).to(x.dtype), x.shape[-2:])  # (B*t, S, C)
            return features.unflatten(0, (B, -1)).flatten(1, 2)

        if self.frames_at_once is None:
            return Level(*make_tokens(slice(T)), make_features(slice(T)) if self.masked_attention else None)
        parts = [slice(t, t + self.frames_at_once) for t in range(0, T, self.frames_at_once)]
        return LevelParts(parts, make_tokens, make_features if self.masked_attention else None)

    def update(  # type: ignore[override]
        self, layer: nn.Module, query: Tensor, level: 'Level | LevelParts', mask_embed: Tensor | None
    ) -> Tensor:
        """The queries (B, Q, C) after a layer; see :meth:`MaskedAttentionHead.update`."""
        if isinstance(level, Level):
            return super().update(layer, query, level, mask_embed)
        return layer(query, self.query_embed.weight, level.memory(mask_embed))


class LevelParts(NamedTuple):
    """A level in parts of a few frames, which are made when they are looked at, and then let go.

    Attributes:
        frames: Of each part.
        make_tokens: From the frames of a part to its tokens (B, s, C) and positions (s, C).
        make_features: To the mask features (B, s, C), resized to the level; None where nothing is masked.
    """

    frames: list[slice]
    make_tokens: Callable[[slice], tuple[Tensor, Tensor]]
    make_features: Callable[[slice], Tensor] | None

    def memory(self, mask_embed: Tensor | None) -> Iterator[MemoryPart]:
        """The parts for queries with the mask embeddings (B, Q, C), if these were predicted."""
        masks: list = [None] * len(self.frames)
        if mask_embed is not None and self.make_features is not None:
            masks = [products(mask_embed, self.make_features(part)) >= 0 for part in self.frames]  # (B, Q, s) each
            empty = ~torch.stack([mask.any(-1) for mask in masks]).any(0)[..., None]  # in all frames: look everywhere
            masks = [(mask | empty)[:, None] for mask in masks]
        for part, mask in zip(self.frames, masks):
            yield MemoryPart(*self.make_tokens(part), mask)
