"""Semantic segmentation by a class for each pixel, MaskFormer's baseline (Cheng et al., arXiv 2107.06278, section 3.1).

The logits of a class over all pixels are a mask, so the baselines are heads with a query for each class. The baseline
is :class:`PerPixelHead`; "baseline+" is a :class:`MaskedAttentionHead` with ``num_queries=None``. Both are trained by
:class:`.PerPixelCriterion` and tested by :class:`.PerPixelInference`.
"""

import torch
from mmengine.model import BaseModule, kaiming_init
from torch import Tensor, nn

from mask2former.registry import MODELS

from .head import HeadOutput, known_classes


@MODELS.register_module()
class PerPixelHead(BaseModule):
    """The logits of a class are a linear function of the mask features; the memory is not used.

    Args:
        num_classes: K.
        embed_dims: Channels of the memory.
        mask_dims: C, channels of the mask features.
        num_levels: Levels of the memory.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self, num_classes: int, embed_dims: int, mask_dims: int, num_levels: int, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.classifier = nn.Conv2d(mask_dims, num_classes, 1)

    def init_weights(self) -> None:
        """Initialise as the reference does."""
        kaiming_init(self.classifier)

    def forward(self, mask_features: Tensor, memory: list[Tensor]) -> HeadOutput:
        """Give each class its mask.

        Args:
            mask_features: (B, C, h, w).
            memory: Not used.

        Returns:
            HeadOutput: Of D = 1 prediction of K queries, with a mask feature more, which is one.
        """
        weight, bias = self.classifier.weight.flatten(1), self.classifier.bias  # (K, C), (K,)
        assert bias is not None
        embed = torch.cat((weight, bias[:, None]), 1).expand(len(mask_features), -1, -1)  # (B, K, C + 1)
        ones = torch.ones_like(mask_features[:, :1])
        return HeadOutput(known_classes(embed)[None], embed[None], torch.cat((mask_features, ones), 1))
