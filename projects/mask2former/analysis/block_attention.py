"""Where the queries of an encoder-only model look: self-attention of its last blocks, and what each begins with."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mask2former.models import EncoderOnlyHead
from mask2former.models.head import HeadOutput
from mask2former.models.vit_layers import ViTAttention

from .layer_attention import LayerAttention, attention_weights


@dataclass(frozen=True)
class BlockAttention(LayerAttention):
    """Attention of the queries of a block to the patches of the image.

    They look at each other and at class and register tokens, too: the weights are shares of what falls on patches, and
    0 where a query may look at none.

    Attributes:
        tokens: (B, T, C), what the block begins with; ``key`` is the same, normalised, and ``query`` its first rows.
        rotation: (2, S, C/heads), see :func:`~mask2former.models.vit_layers.rotate`; or None.
    """

    tokens: Tensor
    rotation: Tensor | None

    @torch.no_grad()
    def _weights(self, images: slice, queries: slice) -> Tensor:
        h, w = self.sizes[0]
        mask = None
        if self.mask is not None:  # of patches; the others are open to all
            mask = F.pad(self.mask[images, None, queries], (self.key.shape[1] - h * w, 0), value=True)
        weights = attention_weights(self.module, self.query[images, queries], self.key[images], mask, self.rotation)
        weights = weights[..., -h * w :]
        return weights / weights.sum(-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)


@contextmanager
def record_blocks(head: EncoderOnlyHead) -> Iterator[list[BlockAttention]]:
    """While it is open, the list has the attention of every block of the head's last call."""
    records: list[BlockAttention] = []
    sizes: list[tuple[int, int]] = []
    Q = head.query_feat.num_embeddings

    def begin(module: nn.Module, inputs: tuple) -> None:
        records.clear()
        sizes[:] = [tuple(inputs[0].shape[-2:])]

    def record(block: nn.Module, inputs: tuple) -> None:
        tokens, rotation, mask = inputs
        normed = block.norm1(tokens).detach()  # type: ignore[operator]
        h, w = sizes[0]
        patches = None if mask is None else mask[:, 0, :, -h * w :]
        attention: ViTAttention = block.attn  # type: ignore[assignment]
        records.append(
            BlockAttention(attention, normed[:, :Q], normed, patches, list(sizes), tokens.detach(), rotation)
        )

    with ExitStack() as hooks:
        hooks.callback(head.register_forward_pre_hook(begin).remove)
        for block in head.blocks:
            hooks.callback(block.register_forward_pre_hook(record).remove)
        yield records


@torch.no_grad()
def all_outputs(head: nn.Module, layers: Sequence[LayerAttention], output: HeadOutput) -> HeadOutput:
    """What a head predicts layer by layer: an encoder-only head in testing predicts at its end only.

    Args:
        head: The head.
        layers: Attention of its last call.
        output: What that gave.

    Returns:
        HeadOutput: Of an encoder-only head D = blocks + 1 predictions, as in training; of others, ``output``.
    """
    if not isinstance(head, EncoderOnlyHead):
        return output
    before = [head.predict(layer.tokens, layer.sizes[0]) for layer in layers if isinstance(layer, BlockAttention)]
    class_logits, mask_embed, features = zip(*before)
    return HeadOutput(
        torch.cat((torch.stack(class_logits), output.class_logits)),
        torch.cat((torch.stack(mask_embed), output.mask_embed)),
        torch.cat((*features, output.mask_features), dim=1),
        output.queries,
    )
