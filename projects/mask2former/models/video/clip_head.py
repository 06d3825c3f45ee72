"""The transformer decoder over the frames of a clip (Cheng et al., arXiv 2112.10764, section 2.1)."""

from torch import Tensor

from mask2former.models.head import Level, MaskedAttentionHead
from mask2former.models.layers import sine_encoding
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

    def make_level(self, index: int, x: Tensor, mask_features: Tensor) -> Level:
        """What there is to attend to in a level's maps (B, T, C, h_l, w_l), frame after frame."""
        B, T, C = x.shape[:3]
        frames = super().make_level(index, x.flatten(0, 1), mask_features.flatten(0, 1))
        positions = frames.positions.expand(T, -1, -1)  # (T, S, C)
        if self.time_position:
            positions = positions + sine_encoding(T, C, x.device, positions.dtype)[:, None]
        tokens, features = (
            y if y is None else y.unflatten(0, (B, T)).flatten(1, 2) for y in (frames.tokens, frames.mask_features)
        )  # (B, T*S, C)
        assert tokens is not None
        return Level(tokens, positions.flatten(0, 1), features)
