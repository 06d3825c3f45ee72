"""The graph from a photograph to results at its own size: resizing, the model and postprocessing in one file."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mask2former.errors import ConfigError
from mask2former.models.mask2former import Mask2Former
from mask2former.models.postprocess import InstanceTopK, PanopticFusion, PerPixelInference, SemanticInference
from mask2former.models.postprocess.panoptic import number_segments

from .graph import RawGraph

# Queries whose masks exist together at the original size where all are needed.
QUERIES_AT_A_TIME = 16


class ResultsGraph(nn.Module):
    """A model with what comes before and after it.

    The rules are those of :mod:`mask2former.models.postprocess.plain`. Resizing is a product with a matrix for each
    direction, which is made of the sizes, so that the photograph's are free while the model's are fixed.

    Args:
        model: A trained model of images.
        size: (H, W) of the model's input.

    Attributes:
        outputs: What :meth:`forward` gives, in this order: ``panoptic`` (h, w) int32, 0 is void, segment i + 1 has the
            entries i of ``segment_labels`` (S,) int64 and ``segment_scores`` (S,) float32; ``instance_masks`` (N, h, w)
            bool, ``instance_labels`` (N,) int64, ``instance_scores`` (N,) float32, ``instance_boxes`` (N, 4) float32
            of x1, y1, x2, y2 in pixels; ``semantic`` (h, w) int32 of labels. Of these, the ones that the model gives.

    Raises:
        ConfigError: If the model is no model of images, or is tested in windows, or its results have other rules.
    """

    def __init__(self, model: Mask2Former, size: tuple[int, int]) -> None:
        super().__init__()
        self.raw = RawGraph(model)
        self.size = size
        self.isthing = model.isthing
        self.outputs: tuple[str, ...] = ()
        if model.sliding_window is not None:
            raise ConfigError('The model is tested in windows, which are not in an exported file: export its logits.')
        for part in model.postprocessors:
            if type(part) not in OUTPUTS or getattr(part, 'resize', None) == 'scores':
                raise ConfigError(f'The results of {type(part).__name__} are not exported: export the logits.')
            self.outputs += OUTPUTS[type(part)]
        self.postprocessors = model.postprocessors
        padding = model.data_preprocessor.padding * self.raw.std + self.raw.mean
        self.padding: Tensor
        self.register_buffer('padding', padding.squeeze(0), persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Segment a photograph (h, w, 3) uint8 RGB of any size: see :attr:`outputs`."""
        original = image.shape[:2]
        factor = torch.minimum(*(full / _number(side) for full, side in zip(self.size, original)))
        # The size of the photograph within the input.
        inner = [(_number(side) * factor + 0.5).floor().clamp(1, full) for side, full in zip(original, self.size)]
        masks_to_original = []
        scaled = image.float().permute(2, 0, 1)  # (3, h, w)
        for full, side, cut in zip(self.size, original, inner):
            # The next direction becomes the last one.
            scaled = (bilinear(full, _number(side), cut, side) @ scaled).transpose(1, 2)
        rows, columns = (torch.arange(full) < cut for full, cut in zip(self.size, inner))
        scaled = torch.where(rows[:, None] & columns, scaled.round().clamp(0, 255), self.padding)  # (3, H, W)

        class_logits, mask_logits = (logits[0] for logits in self.raw(scaled[None]))
        for full, side, cut, cells in zip(self.size, original, inner, mask_logits.shape[1:]):
            to_input = bilinear(full, _number(cells), torch.tensor(float(full)), cells)  # (H, H/4)
            masks_to_original.append(bilinear(side, cut, _number(side), full) @ to_input)  # (h, H/4)
        masks = Masks(mask_logits, *masks_to_original)
        results: list[Tensor] = []
        for part in self.postprocessors:
            if isinstance(part, PanopticFusion):
                results += panoptic(part, class_logits, masks, self.isthing)
            elif isinstance(part, InstanceTopK):
                results += instances(part, class_logits, masks, self.isthing)
            else:
                results.append(semantic(part, class_logits, masks))
        return tuple(results)


OUTPUTS = {
    PanopticFusion: ('panoptic', 'segment_labels', 'segment_scores'),
    InstanceTopK: ('instance_masks', 'instance_labels', 'instance_scores', 'instance_boxes'),
    SemanticInference: ('semantic',),
    PerPixelInference: ('semantic',),
}


class Masks:
    """Mask logits at the original size, of the queries that are asked for.

    Args:
        logits: (Q, H/4, W/4).
        down: (h, H/4), which enlarges columns.
        across: (w, W/4), which enlarges rows.
    """

    def __init__(self, logits: Tensor, down: Tensor, across: Tensor) -> None:
        self.logits, self.down, self.across = logits, down, across

    def of(self, queries: Tensor | slice) -> Tensor:
        """(n, h, w)."""
        return self.down @ (self.logits[queries] @ self.across.T)


def bilinear(outputs: int, inputs: Tensor, extent: Tensor, columns: int) -> Tensor:
    """The matrix (outputs, columns) that resizes a line of ``inputs`` values to ``extent``, by centres of pixels.

    Args:
        outputs: Rows of the matrix; those from ``extent`` on repeat the last value.
        inputs: How many values there are, a number.
        extent: How many they become, a number.
        columns: Columns of the matrix; those from ``inputs`` on are zero.
    """
    places = (torch.arange(outputs) + 0.5) * inputs / extent - 0.5
    places = torch.minimum(places.clamp(min=0), inputs - 1)  # (outputs,)
    return (1 - (places[:, None] - torch.arange(columns)).abs()).clamp(min=0)


def panoptic(part: PanopticFusion, class_logits: Tensor, masks: Masks, isthing: Sequence[bool]) -> list[Tensor]:
    """The map, and labels and scores of its segments; see :class:`PanopticFusion`."""
    scores, labels = class_logits.softmax(-1).max(-1)
    kept = ((labels != len(isthing)) & (scores > part.score_thr)).nonzero().flatten()  # (n,)
    # A place more, which is no segment: there is no maximum of nothing.
    kept = torch.cat((kept.new_zeros(1), kept))
    taken = torch.arange(kept.shape[0]) > 0
    labels, scores = labels[kept].clamp(max=len(isthing) - 1), scores[kept] * taken
    probability = masks.of(kept).sigmoid()  # (n + 1, h, w)
    winner = (scores[:, None, None] * probability).argmax(0)  # (h, w)
    inside = probability >= 0.5
    visible = inside.gather(0, winner[None])[0]
    zeros = torch.zeros_like(kept)
    assigned = zeros.scatter_add(0, winner.flatten(), torch.ones_like(winner).flatten())
    seen = zeros.scatter_add(0, winner.flatten(), visible.long().flatten())
    painted = seen if part.inside_mask else assigned
    area = inside.sum((1, 2))
    valid = taken & (area > 0) & (painted > 0) & (assigned >= part.overlap_thr * area)
    ids, is_first = number_segments(valid, labels, torch.tensor(isthing)[labels])
    id_map = ids[winner]
    if part.inside_mask:
        id_map = torch.where(visible, id_map, 0)
    first = is_first.nonzero().flatten()
    return [id_map.to(torch.int32), labels[first], scores[first]]


def instances(part: InstanceTopK, class_logits: Tensor, masks: Masks, isthing: Sequence[bool]) -> list[Tensor]:
    """Masks, labels, scores and boxes, in the order of the class scores; see :class:`InstanceTopK`."""
    scores = class_logits.softmax(-1)[:, :-1]  # (Q, K)
    K = scores.shape[1]
    scores, pairs = scores.flatten().topk(min(part.max_per_image, scores.numel()))
    labels, queries = pairs % K, pairs // K
    wanted = (torch.tensor(isthing)[labels] & (scores >= part.score_thr)).nonzero().flatten()
    scores, labels = scores[wanted], labels[wanted]
    logits = masks.of(queries[wanted])  # (n, h, w)
    inside = logits > 0
    scores = scores * (logits.sigmoid() * inside).sum((1, 2)) / (inside.sum((1, 2)) + 1e-6)
    kept = (scores >= part.score_thr).nonzero().flatten()
    inside = inside[kept]
    return [inside, labels[kept], scores[kept], boxes(inside)]


def boxes(masks: Tensor) -> Tensor:
    """Tight boxes (n, 4) float32, x1, y1, x2, y2, of masks (n, h, w) bool; zeros where a mask is empty."""
    ends = []
    for axis in (1, 2):  # of columns, of rows
        touched = masks.any(axis).long()  # (n, w) or (n, h)
        places = torch.arange(1, touched.shape[1] + 1)
        last = (touched * places).amax(1)
        first = touched.shape[1] - (touched * places.flip(0)).amax(1)
        ends.append((torch.minimum(first, last), last))
    (x1, x2), (y1, y2) = ends
    return torch.stack((x1, y1, x2, y2), dim=1).float()


def semantic(part: SemanticInference, class_logits: Tensor, masks: Masks) -> Tensor:
    """The label (h, w) int32 of each pixel; see :class:`SemanticInference`."""
    if isinstance(part, PerPixelInference):
        return masks.of(slice(None)).argmax(0).to(torch.int32)
    total = torch.zeros(())
    for first in range(0, len(class_logits), QUERIES_AT_A_TIME):
        queries = slice(first, first + QUERIES_AT_A_TIME)
        probability = class_logits.softmax(-1)[queries, :-1]  # (n, K)
        total = total + torch.tensordot(probability, masks.of(queries).sigmoid(), ([0], [0]))  # (K, h, w)
    return total.argmax(0).to(torch.int32)


def _number(side: int) -> Tensor:
    """A size, which may be free, as a number of the graph."""
    return torch.scalar_tensor(side, dtype=torch.float32)
