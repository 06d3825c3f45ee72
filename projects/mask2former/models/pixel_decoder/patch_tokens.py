"""No pixel decoder: the tokens of a plain vision transformer go on to the encoder-only head."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor

from mask2former.registry import MODELS


@MODELS.register_module()
class PatchTokens(BaseModule):
    """Hands the features of :class:`PlainViT` on (Kerssies et al., arXiv 2503.19108: the encoder needs no decoder).

    Args:
        in_channels: Channels of the features; those of the patches come first.
        strides: Strides of the features, which nothing here depends on.
    """

    def __init__(self, in_channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.embed_dims = self.mask_dims = in_channels[0]
        self.num_levels = 1

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Patches (B, C, h, w), and a list of what else there is."""
        patches, *others = features
        return patches, others
