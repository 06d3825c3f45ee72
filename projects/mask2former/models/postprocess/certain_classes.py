"""Semantic maps of which most pixels need no class scores.

A mask logit at the original size is a mean of few logits at the small size, so near a pixel it has an upper and a lower
bound, and with it the score of each class. Where the lower bound of one class is above the upper bounds of all others,
its pixels are decided; elsewhere only the classes that may win are computed, exactly.
"""

import torch
from torch import Tensor

from mask2former.models.masks import LazyMasks
from mask2former.models.masks.axis_resize import AxisResize
from mask2former.ops.linear import linear

ROWS, TILE = 32, 16  # rows and columns of a tile, whose pixels are decided together


def semantic_map(class_logits: Tensor, masks: LazyMasks) -> Tensor:
    """The class of the highest score at each pixel, (H, W) int64; see :class:`.SemanticInference`.

    Args:
        class_logits: (Q, K + 1).
        masks: All of an image, without a window.
    """
    probability = class_logits.softmax(-1)[:, :-1].T.contiguous()  # (K, Q)
    Q = probability.shape[1]
    low = masks.low_resolution(torch.arange(Q, device=probability.device), 0)
    along, (index, weights) = low.along, _tiles(low.across)  # (T, L), (T, TILE, L)
    logits = low.logits.transpose(1, 2).contiguous()  # (h, w, Q)
    del low  # which would keep them twice
    rounding = 1 - 4 * Q * torch.finfo(probability.dtype).eps
    at_once = max(1, masks.pixels_at_once(Q) // (ROWS * TILE))  # tiles
    H, W = masks.ori_shape
    sem_seg = torch.empty((H, W), dtype=torch.long, device=logits.device)
    for start in range(0, H, ROWS):
        strip = slice(start, min(start + ROWS, H))
        inputs, down = along.weights_of(strip)  # (h', rows)
        near = logits[inputs]  # (h', w, Q)
        upper = linear(near.amax(0).sigmoid_()[index].amax(1), probability)  # (T, K)
        lower = linear(near.amin(0).sigmoid_()[index].amin(1), probability)
        possible = upper >= lower.amax(1, keepdim=True) * rounding
        sem_seg[strip] = possible.byte().argmax(1).repeat_interleave(TILE)[:W]
        undecided = (possible.sum(1) > 1).nonzero().flatten()
        for tiles in undecided.split(at_once) if len(undecided) else ():  # (t,)
            candidates = possible[tiles].any(0).nonzero().flatten()  # (k,)
            x = weights[tiles] @ near[:, index[tiles]]  # (t, TILE, L) @ (h', t, L, Q) -> (h', t, TILE, Q)
            x = linear(down.T, x.flatten(1).T).view(-1, Q).sigmoid_()  # (rows * t * TILE, Q)
            won = candidates[linear(x, probability[candidates]).argmax(1)].view(strip.stop - strip.start, -1)
            columns = (tiles[:, None] * TILE + torch.arange(TILE, device=tiles.device)).flatten()  # (t * TILE,)
            inside = columns < W
            sem_seg[strip, columns[inside]] = won[:, inside]
    return sem_seg


def _tiles(across: AxisResize) -> tuple[Tensor, Tensor]:
    """The inputs (T, L) that the outputs of each tile depend on, and their weights (T, TILE, L).

    A tile with fewer inputs has the last of them again, without weight, as has the last tile outputs.
    """
    outputs = [slice(i, min(i + TILE, across.extent.stop)) for i in range(0, across.extent.stop, TILE)]
    inputs = [across.inputs(output) for output in outputs]
    length = max(source.stop - source.start for source in inputs)
    weights = across.weights.new_zeros(len(outputs), TILE, length)
    index = torch.empty(len(outputs), length, dtype=torch.long, device=weights.device)
    for t, output in enumerate(outputs):
        source, some = across.weights_of(output)  # (L', TILE')
        weights[t, : some.shape[1], : some.shape[0]] = some.T
        index[t] = torch.arange(length, device=index.device).add_(source.start).clamp_(max=source.stop - 1)
    return index, weights
