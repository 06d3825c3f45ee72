"""The losses of masks at every pixel (Cheng et al., MaskFormer, arXiv 2107.06278, section 3.3; paper table 5)."""

import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from torch import Tensor
from torch.autograd.function import once_differentiable

from mask2former.models.head import HeadOutput
from mask2former.registry import MODELS

from .criterion import SetCriterion, matched_logits
from .enlarging import gradient_before_enlarging

# Of masks at the size of the targets at a time; a processor's caches hold them.
MAX_PIXELS_CPU = 2**19
MAX_PIXELS = 2**21
ALPHA = 0.25  # weight of a mask's pixels in the focal loss; the others have one minus it


@MODELS.register_module()
class DenseCriterion(SetCriterion):
    """Loss of the D predictions against the segments of each image, of masks at all pixels of the padded image.

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
        self.focal = focal

    def mask_losses(
        self, output: HeadOutput, targets: list[InstanceData], matches: list[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of each of M masks, the decoder output, the focal or cross-entropy loss, and the dice loss, (M,) each."""
        layers, losses = [], []
        most = MAX_PIXELS_CPU if output.mask_features.device.type == 'cpu' else MAX_PIXELS
        for b, (target, (queries, segments)) in enumerate(zip(targets, matches)):
            layer, logits = matched_logits(output, b, queries)  # (D*n,), (D*n, h, w)
            layers.append(layer)
            few = max(1, most // target.masks[0].numel()) if len(target.masks) else 1
            for some_logits, some_segments in zip(logits.split(few), segments.flatten().split(few)):
                losses.append(dense_losses(some_logits, target.masks, some_segments, self.focal))
        mask_losses, dice_losses = (torch.cat(x) for x in zip(*losses))
        return torch.cat(layers), mask_losses, dice_losses


def dense_losses(logits: Tensor, masks: Tensor, segments: Tensor, focal: bool) -> tuple[Tensor, Tensor]:
    """Losses of masks against targets of another size, to which they are enlarged bilinearly.

    The gradient is computed along with the losses, at the size of the targets, and only what it is at the size of the
    logits is kept: all masks of a batch at the size of the targets, with what their losses keep, would be gigabytes.

    Args:
        logits: (n, h, w).
        masks: (N, H, W) bool.
        segments: (n,), which mask each is compared with.
        focal: Whether the first loss is the focal loss (Lin et al., arXiv 1708.02002, with gamma 2), or the binary
            cross-entropy; the mean over pixels.

    Returns:
        tuple: That loss and the dice loss, (n,) each.
    """
    return _DenseLosses.apply(logits, masks, segments, focal)


class _DenseLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits: Tensor, masks: Tensor, segments: Tensor, focal: bool) -> tuple[Tensor, Tensor]:
        size = masks.shape[-2:]
        if not len(logits):
            ctx.save_for_backward(logits, logits)
            return logits.new_zeros(0), logits.new_zeros(0)
        x = F.interpolate(logits[:, None], size=size, mode='bilinear', align_corners=False)  # (n, 1, H, W)
        x = x.flatten(1)  # (n, H*W)
        t = masks[segments].flatten(1).to(x.dtype)
        loss = F.softplus(x).addcmul_(x, t, value=-1)  # cross-entropy
        p = x.sigmoid_()

        overlap, total = 2 * (p * t).sum(-1, keepdim=True) + 1, (p.sum(-1) + t.sum(-1))[:, None] + 1  # (n, 1)
        dice_gradient = (t * (-2 / total)).add_(overlap / total**2).mul_(p).mul_(1 - p)
        sign = 1 - 2 * t
        wrong = sign.mul(p).add_(t)  # one minus the probability of what is right
        if focal:
            weight = t.mul_(2 * ALPHA - 1).add_(1 - ALPHA).mul_(wrong).mul_(wrong)
            gradient = (1 - wrong).mul_(loss).mul_(2).add_(wrong).mul_(weight).mul_(sign)
            loss.mul_(weight)
        else:
            gradient = wrong.mul_(sign)
        small = (
            gradient_before_enlarging(x.view(-1, *size), (logits.shape[-2], logits.shape[-1]))
            for x in (gradient.div_(gradient.shape[1]), dice_gradient)
        )
        ctx.save_for_backward(*small)  # (n, h, w) each
        return loss.mean(-1), 1 - (overlap / total)[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_mask: Tensor, grad_dice: Tensor) -> tuple[Tensor | None, ...]:
        mask_gradient, dice_gradient = ctx.saved_tensors
        grad = mask_gradient * grad_mask[:, None, None]
        return grad.addcmul_(dice_gradient, grad_dice[:, None, None]), None, None, None
