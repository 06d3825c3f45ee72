"""The losses of masks at every pixel (Cheng et al., MaskFormer, arXiv 2107.06278, section 3.3; paper table 5)."""

import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mask2former.models.head import HeadOutput
from mask2former.registry import MODELS

from .criterion import SetCriterion, matched_logits
from .losses import dice_loss, focal_loss, mask_loss

MAX_PIXELS = 2**22  # of masks at the size of the targets at a time: 16 MB


@MODELS.register_module()
class DenseCriterion(SetCriterion):
    """Loss of the D predictions against the segments of each image, of masks at all pixels of the padded image.

    The masks of matched queries are enlarged a few at a time, and once more in the backward pass: all together, with
    what their losses keep, they would take several gigabytes.

    Args:
        num_classes: K.
        matcher: Config of the matcher; by default it, too, compares all pixels, and ``focal`` follows from the
            criterion's.
        focal: Whether the loss of a mask is the focal loss, as in MaskFormer, or the binary cross-entropy.
        class_weight: Weight of the classification loss.
        mask_weight: Weight of the focal loss or cross-entropy of masks.
        dice_weight: Weight of the dice loss.
        no_object_weight: Weight of the class no-object in the cross-entropy.
    """

    def __init__(
        self,
        num_classes: int,
        matcher: dict,
        focal: bool = False,
        class_weight: float = 2.0,
        mask_weight: float = 5.0,
        dice_weight: float = 5.0,
        no_object_weight: float = 0.1,
    ) -> None:
        matcher = dict(dict(num_points=None, focal=focal), **matcher)
        super().__init__(num_classes, matcher, class_weight, mask_weight, dice_weight, no_object_weight)
        self.mask_loss = focal_loss if focal else mask_loss

    def mask_losses(
        self, output: HeadOutput, targets: list[InstanceData], matches: list[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of each of M masks, the decoder output, the focal or cross-entropy loss, and the dice loss, (M,) each."""
        layers, mask_losses, dice_losses = [], [], []
        for b, (target, (queries, segments)) in enumerate(zip(targets, matches)):
            layer, logits = matched_logits(output, b, queries)  # (D*n,), (D*n, h, w)
            layers.append(layer)
            H, W = target.masks.shape[-2:]
            few = max(1, MAX_PIXELS // (H * W))
            for some_logits, some_segments in zip(logits.split(few), segments.flatten().split(few)):
                inputs = (some_logits, target.masks, some_segments)
                losses = checkpoint(self.losses_of, *inputs, use_reentrant=False, preserve_rng_state=False)
                mask_losses.append(losses[0])
                dice_losses.append(losses[1])
        return torch.cat(layers), torch.cat(mask_losses), torch.cat(dice_losses)

    def losses_of(self, logits: Tensor, masks: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
        """The losses (n,) and (n,) of logits (n, h, w) against masks (N, H, W), of which those of ``segments`` (n,)."""
        logits = F.interpolate(logits[:, None], size=masks.shape[-2:], mode='bilinear', align_corners=False)
        logits = logits.flatten(1)  # (n, H*W)
        wanted = masks[segments].flatten(1).to(logits.dtype)
        return self.mask_loss(logits, wanted), dice_loss(logits, wanted)
