"""The training loss: matching, and three losses on every decoder output (paper sections 3.2 to 3.4)."""

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor

from mask2former.models.head import HeadOutput, with_own_features
from mask2former.ops.linear import linear
from mask2former.registry import TASK_UTILS


class SetCriterion(BaseModule):
    """Loss of the D predictions against the segments of each image; a subclass has the losses of masks.

    Args:
        num_classes: K.
        matcher: Config of the matcher.
        class_weight: Weight of the classification loss.
        mask_weight: Weight of the cross-entropy of masks.
        dice_weight: Weight of the dice loss.
        no_object_weight: Weight of the class no-object in the cross-entropy.
    """

    def __init__(
        self,
        num_classes: int,
        matcher: dict,
        class_weight: float,
        mask_weight: float,
        dice_weight: float,
        no_object_weight: float,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.matcher = TASK_UTILS.build(matcher)
        self.class_weight, self.mask_weight, self.dice_weight = class_weight, mask_weight, dice_weight
        self.no_object_weight = no_object_weight

    def forward(self, output: HeadOutput, targets: list[InstanceData]) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            output: What the head predicts.
            targets: B targets with ``labels`` (N,) and ``masks`` (N, H, W) of the padded size, and by metainfo perhaps
                ``step``, where other batches make the same step of the optimizer: a dict of ``segments``, N of each
                image of all of them, and ``batches``, how many they are.

        Returns:
            dict[str, Tensor]: ``loss_class``, ``loss_mask`` and ``loss_dice`` of the last decoder output, and
            ``loss_aux``, the sum of the other outputs' losses. Their sum is the loss to minimise.
        """
        # Half precision is too coarse for costs and losses.
        with torch.autocast(output.mask_features.device.type, enabled=False):
            output = output.full_precision()
            matches = self.matcher(output, targets)
            losses = self.layer_losses(output, targets, matches)
        total = losses['class'] + losses['mask'] + losses['dice']  # (D,)
        return dict(**{f'loss_{name}': loss[-1] for name, loss in losses.items()}, loss_aux=total[:-1].sum())

    def layer_losses(
        self, output: HeadOutput, targets: list[InstanceData], matches: list[tuple[Tensor, Tensor]]
    ) -> dict[str, Tensor]:
        """The weighted losses of every decoder output under given matches: ``class``, ``mask`` and ``dice``, each (D,).

        The class loss is a weighted mean over queries; the others are summed over segments and divided by the number
        of segments. Both denominators are means over the ranks, so the ranks together do what one process would do, and
        over the batches of a step, so that these do what one batch would do.
        """
        D, _, Q, _ = output.class_logits.shape
        labels = self.class_targets(output, targets, matches)  # (D, B, Q)
        label_weights = output.class_logits.new_ones(self.num_classes + 1)
        label_weights[-1] = self.no_object_weight
        cross_entropy = F.cross_entropy(
            output.class_logits.flatten(0, 2), labels.flatten(), label_weights, reduction='none'
        ).view(D, -1)

        # The sum of label weights is the same in every decoder output: each matches min(N, Q) queries.
        weight_sum, count, batches = label_weights[labels[0]].sum(), sum(len(target.labels) for target in targets), 1
        if 'step' in targets[0]:
            segments, batches = targets[0].step['segments'], targets[0].step['batches']
            matched, count = sum(min(N, Q) for N in segments), sum(segments)
            weight_sum = label_weights.new_tensor(matched + self.no_object_weight * (len(segments) * Q - matched))
        denominators = torch.stack((weight_sum, label_weights.new_tensor(float(count)))) / batches
        all_reduce(denominators, op='mean')
        # At least one segment in all batches of all ranks together.
        weight_sum, num_segments = denominators[0], denominators[1].clamp(min=1 / (get_world_size() * batches))

        layer, mask_losses, dice_losses = self.mask_losses(output, targets, matches)  # (M,) each
        zeros = mask_losses.new_zeros(D)
        return {
            'class': self.class_weight * cross_entropy.sum(-1) / weight_sum,
            'mask': self.mask_weight * zeros.index_add(0, layer, mask_losses) / num_segments,
            'dice': self.dice_weight * zeros.index_add(0, layer, dice_losses) / num_segments,
        }

    def class_targets(
        self, output: HeadOutput, targets: list[InstanceData], matches: list[tuple[Tensor, Tensor]]
    ) -> Tensor:
        """The label (D, B, Q) of every query, K where it is matched with nothing."""
        labels = torch.full(
            output.class_logits.shape[:3], self.num_classes, device=output.class_logits.device, dtype=torch.long
        )
        for b, (queries, segments) in enumerate(matches):
            labels[:, b].scatter_(1, queries, targets[b].labels[segments])
        return labels

    def mask_losses(
        self, output: HeadOutput, targets: list[InstanceData], matches: list[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The losses of the masks of the M matched queries of all decoder outputs and images.

        Returns:
            tuple: The decoder output of each mask, its cross-entropy and its dice loss, each (M,).
        """
        raise NotImplementedError


def matched_logits(output: HeadOutput, b: int, queries: Tensor) -> tuple[Tensor, Tensor]:
    """The masks of an image's matched ``queries`` (D, n): of which decoder output (D*n,), and logits (D*n, h, w)."""
    layer = torch.arange(len(queries), device=queries.device)[:, None].expand_as(queries)  # (D, n)
    embed = output.mask_embed[layer, b, queries]  # (D, n, C)
    features = output.mask_features[b]  # (C, h, w)
    masks = [linear(*pair) for pair in with_own_features(embed, features.flatten(1).T)]  # of all outputs, or of each
    return layer.flatten(), (masks[0] if len(masks) == 1 else torch.cat(masks)).unflatten(-1, features.shape[1:])
