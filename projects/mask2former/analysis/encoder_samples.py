"""Where the pixel decoder looks: the samples that deformable attention takes for one pixel, layer by layer."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mask2former.models.pixel_decoder.encoder import MSDeformAttn


class PixelSamples(NamedTuple):
    """The samples of one pixel in one layer.

    Attributes:
        locations: (M, L, R, 2), x and y of the samples, 0 to 1 over the network's input; outside is zero.
        weights: (M, L, R), which sum to 1 for each head.
    """

    locations: Tensor
    weights: Tensor


class EncoderLayerInput(NamedTuple):
    """What a layer of the pixel decoder got.

    Attributes:
        module: Its attention.
        tokens: (B, S, C), with positions.
        reference_points: (S, 2), x and y of every token, 0 to 1.
        level_shapes: L sizes (h, w), from coarse to fine.
    """

    module: MSDeformAttn
    tokens: Tensor
    reference_points: Tensor
    level_shapes: list[tuple[int, int]]

    @torch.no_grad()
    def samples(self, b: int, level: int, x: float, y: float) -> PixelSamples:
        """The samples of the pixel at (x, y), 0 to 1 over the input of image ``b``, as ``level`` has it."""
        start = sum(h * w for h, w in self.level_shapes[:level])
        h, w = self.level_shapes[level]
        token = start + min(int(y * h), h - 1) * w + min(int(x * w), w - 1)
        chosen = slice(token, token + 1)
        locations, weights = self.module.samples(
            self.tokens[b : b + 1, chosen], self.reference_points[chosen], self.level_shapes
        )
        return PixelSamples(locations[0, 0], weights[0, 0])


@contextmanager
def record_encoder(model: nn.Module) -> Iterator[list[EncoderLayerInput]]:
    """While it is open, the list grows by what each layer of deformable attention gets; without such layers, by none.

    Args:
        model: The model, or its pixel decoder.
    """
    records: list[EncoderLayerInput] = []

    def record(module: MSDeformAttn, inputs: tuple) -> None:
        query, _, reference_points, level_shapes = inputs
        records.append(EncoderLayerInput(module, query.detach(), reference_points, list(level_shapes)))

    with ExitStack() as hooks:
        for module in model.modules():
            if isinstance(module, MSDeformAttn):
                hooks.callback(module.register_forward_pre_hook(record).remove)
        yield records
