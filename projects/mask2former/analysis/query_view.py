"""One query on its way through the decoder: its masks, its classes, where it may look and where it looked."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mask2former.models.head import HeadOutput

from .attention import covered_shares
from .layer_attention import LayerAttention

_CLASSES = 3  # likeliest ones that are kept of an output


class LayerView(NamedTuple):
    """What a decoder layer did for a query.

    Attributes:
        sizes: (h, w) of the level that it attended to, or of the levels.
        allowed: (h, w) bool, where it might look, on the finest of them; None for everywhere.
        heads: (M, h, w), where each head looked; each sums to 1.
        inside: The share of the heads' mean that lies in the object.
        even: The share that evenly spread attention would have.
    """

    sizes: list[tuple[int, int]]
    allowed: Tensor | None
    heads: Tensor
    inside: float
    even: float


class QueryView(NamedTuple):
    """A query of an image.

    Attributes:
        query: Its number.
        masks: (D, h, w), the probabilities of its mask, output by output.
        classes: Of each output the likeliest classes with their probabilities; no object is one of them.
        layers: Of each decoder layer.
        object: (H, W) bool, of the size of the network's input: what ``inside`` is the share of.
    """

    query: int
    masks: Tensor
    classes: list[list[tuple[str, float]]]
    layers: list[LayerView]
    object: Tensor

    @property
    def missing(self) -> int:
        """How many layers begin without a prediction, as queries that are not learned do."""
        return len(self.layers) + 1 - len(self.masks)

    def before(self, layer: int) -> Tensor | None:
        """(h, w), the probabilities of the mask that a layer starts with; None where nothing was predicted before."""
        return self.masks[layer - self.missing] if layer >= self.missing else None


def view_query(
    output: HeadOutput,
    layers: Sequence[LayerAttention],
    b: int,
    query: int,
    classes: Sequence[str],
    size: tuple[int, int],
    truth: Tensor | None = None,
) -> QueryView:
    """Gather what a query did.

    Args:
        output: Of the head.
        layers: Cross-attention of every decoder layer.
        b: Which image.
        query: Which query.
        classes: Names of the K classes.
        size: (H, W) of the network's input.
        truth: (H, W) bool, the object; by default the query's last mask.
    """
    count = len(output.mask_embed)
    # One query's row each: the masks of all queries are not formed.
    rows = output._replace(mask_embed=output.mask_embed[:, b : b + 1, query : query + 1],
                           mask_features=output.mask_features[b : b + 1])  # fmt: skip
    masks = torch.stack([rows.mask_logits(d)[0, 0].sigmoid() for d in range(count)]).cpu()  # (D, h, w)
    names = [*classes, 'no object']
    best = output.class_logits[:, b, query].softmax(-1).topk(min(_CLASSES, len(names)))  # (D, 3)
    likeliest = [
        [(names[i], p) for p, i in zip(values, indices)]
        for values, indices in zip(best.values.tolist(), best.indices.tolist())
    ]
    inside = enlarge(masks[-1], size) >= 0.5 if truth is None else truth.cpu()  # (H, W)
    views = [_view_layer(layer, b, query, inside) for layer in layers]
    return QueryView(query, masks, likeliest, views, inside)


def _view_layer(layer: LayerAttention, b: int, query: int, inside: Tensor) -> LayerView:
    heads = layer.heads(b, query).float().cpu()  # (M, S)
    size = max(layer.sizes)
    allowed = None if layer.mask is None else spread(layer.mask[b, query].float(), layer.sizes, size) > 0
    [cover] = covered_shares(inside[None], layer.sizes)  # (S,)
    maps = torch.stack([spread(head, layer.sizes, size) for head in heads])
    return LayerView(layer.sizes, allowed, maps, float((heads.mean(0) * cover).sum()), float(cover.mean()))


def surest_queries(output: HeadOutput, b: int, most: int = 6) -> list[int]:
    """The queries that have the segments of an image: the surest ones, of those that win a pixel.

    A pixel is won where the probability of the class times that of the mask is the highest, as in panoptic results.
    """
    scores, labels = output.class_logits[-1, b].softmax(-1).max(-1)  # (Q,)
    scores = scores * (labels < output.class_logits.shape[-1] - 1)
    one = output._replace(mask_embed=output.mask_embed[-1:, b : b + 1], mask_features=output.mask_features[b : b + 1])
    masks = one.mask_logits()[0].sigmoid()  # (Q, h, w)
    winners = (scores[:, None, None] * masks).argmax(0)  # (h, w)
    won = (winners == torch.arange(len(scores), device=winners.device)[:, None, None]) & (masks >= 0.5)
    wins = won.flatten(1).any(1) & (scores > 0)
    return [query for query in scores.argsort(descending=True).tolist() if wins[query]][:most]


def enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    """A map (h, w) at another size, between its values on straight lines."""
    return F.interpolate(x[None, None].cpu(), size=size, mode='bilinear', align_corners=False)[0, 0]


def spread(values: Tensor, sizes: Sequence[tuple[int, int]], size: tuple[int, int]) -> Tensor:
    """Values (S,) of the tokens of some levels as a map (H, W), each evenly over its cell; the sum stays the same."""
    total = torch.zeros(size)
    for (h, w), part in zip(sizes, values.cpu().split([h * w for h, w in sizes])):
        cell = h * w / (size[0] * size[1])
        total += cell * F.interpolate(part.view(1, 1, h, w), size=size, mode='nearest-exact')[0, 0]
    return total
