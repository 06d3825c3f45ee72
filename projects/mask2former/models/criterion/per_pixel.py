"""The loss of the per-pixel baselines (Cheng et al., MaskFormer, arXiv 2107.06278, section 3.1)."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor
from torch.autograd.function import once_differentiable

from mask2former.models.head import HeadOutput
from mask2former.registry import MODELS

from .enlarging import gradient_before_enlarging

IGNORED = -1


@MODELS.register_module()
class PerPixelCriterion(BaseModule):
    """Cross-entropy at the pixels that a segment covers, of masks of which each stands for a class.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, output: HeadOutput, targets: list[InstanceData]) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            output: Of K queries, one for each class in their order.
            targets: B targets with ``labels`` (N,) and ``masks`` (N, H, W) of the padded size.

        Returns:
            dict[str, Tensor]: ``loss_pixel`` of the last decoder output, a mean over the batch's pixels, and
            ``loss_aux``, the sum of the other outputs' losses.
        """
        # Half precision is too coarse for losses.
        with torch.autocast(output.mask_features.device.type, enabled=False):
            output = output.full_precision()
            maps = [class_map(target) for target in targets]  # (H, W) each
            sums = [
                torch.stack([pixel_loss_sum(layer[b], classes) for b, classes in enumerate(maps)]).sum()
                for layer in map(output.mask_logits, range(len(output.mask_embed)))
            ]
            count = torch.stack([(classes != IGNORED).sum() for classes in maps]).sum().clamp(min=1)
        losses = torch.stack(sums) / count  # (D,)
        return dict(loss_pixel=losses[-1], loss_aux=losses[:-1].sum())


def class_map(target: InstanceData) -> Tensor:
    """The class of every pixel (H, W), ``IGNORED`` where there is no segment."""
    classes = torch.full(target.masks.shape[1:], IGNORED, device=target.masks.device)
    for label, mask in zip(target.labels, target.masks):
        classes = torch.where(mask, label, classes)
    return classes


def pixel_loss_sum(logits: Tensor, classes: Tensor) -> Tensor:
    """Sum of the cross-entropy over pixels, of logits that are enlarged to them bilinearly.

    The gradient is computed along with the loss, and only what it is at the size of the logits is kept: the logits of
    all decoder outputs at the size of the image are gigabytes where there are many classes.

    Args:
        logits: (K, h, w).
        classes: (H, W) int64, ``IGNORED`` for pixels that do not count.
    """
    return _PixelLossSum.apply(logits, classes)


class _PixelLossSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits: Tensor, classes: Tensor) -> Tensor:
        size = classes.shape
        x = F.interpolate(logits[None], size=size, mode='bilinear', align_corners=False)[0]  # (K, H, W)
        x = x.sub_(x.logsumexp(0))
        at = classes.clamp(min=0)[None]  # (1, H, W)
        counted = classes != IGNORED
        loss = -x.gather(0, at)[0][counted].sum()
        gradient = x.exp_().scatter_add_(0, at, -torch.ones_like(x[:1])).mul_(counted)
        ctx.save_for_backward(gradient_before_enlarging(gradient, (logits.shape[1], logits.shape[2])))  # (K, h, w)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad, None
