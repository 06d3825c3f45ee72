"""The transformer decoder, with masked attention or as MaskFormer's (paper sections 3.2.2 and 3.2.3)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mask2former.errors import ConfigError
from mask2former.ops.linear import Linear, products
from mask2former.ops.precision import full_precision
from mask2former.registry import MODELS

from .decoder_layer import DecoderLayer
from .layers import FFN, MLP, Attention, run, sine_position


class HeadOutput(NamedTuple):
    """What the head predicts. Masks stay factors: a mask is formed only where somebody needs it.

    Attributes:
        class_logits: (D, B, Q, K + 1), no-object is index K.
        mask_embed: (D, B, Q, C).
        mask_features: (B, C, h, w); of clips (B, T, C, h, w), whose frames share the mask embeddings. Where each output
            has its own, they lie side by side, (B, D*C, h, w).
        queries: (B, Q, C), the last layer's, normalised, by which a query is known again in the next frames; None in
            training, and where every query stands for a class.
    """

    class_logits: Tensor
    mask_embed: Tensor
    mask_features: Tensor
    queries: Tensor | None = None

    def full_precision(self) -> 'HeadOutput':
        """The same in float32; float64 is left as it is."""
        class_logits, mask_embed, features = full_precision(self.class_logits, self.mask_embed, self.mask_features)
        queries = None if self.queries is None else self.queries.to(class_logits.dtype)
        return HeadOutput(class_logits, mask_embed, features, queries)

    def mask_logits(self, layer: int = -1) -> Tensor:
        """All masks of one decoder output, (B, Q, h, w); of clips (B, Q, T, h, w)."""
        groups = self.mask_features.split(self.mask_embed.shape[-1], dim=-3)
        features = groups[layer] if len(groups) > 1 else groups[0]
        shape = (*features.shape[1:-3], *features.shape[-2:])  # (h, w) or (T, h, w)
        rows = features.flatten(-2).transpose(-1, -2).flatten(1, -2)  # (B, h*w, C) or (B, T*h*w, C)
        return products(self.mask_embed[layer], rows).unflatten(-1, shape)


def with_own_features(embed: Tensor, features: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Mask embeddings and the features that they are multiplied with.

    Args:
        embed: (D, n, C).
        features: (P, C), which the D outputs share, or (P, D*C), those of each output side by side.

    Returns:
        list: One pair of (D*n, C) and (P, C), or D pairs of (n, C) and (P, C).
    """
    parts = features.split(embed.shape[-1], dim=-1)
    return list(zip(embed if len(parts) > 1 else embed.flatten(0, 1)[None], parts))


def known_classes(query: Tensor) -> Tensor:
    """Class logits (B, K, K + 1) of K queries (B, K, C), each of which is surely of the class that it stands for."""
    B, K, _ = query.shape
    return query.new_full((K, K + 1), -1e4).fill_diagonal_(0).expand(B, -1, -1)


class Level(NamedTuple):
    """What a layer attends to.

    Attributes:
        tokens: (B, S, C).
        positions: (S, C).
        mask_features: (B, S, C), the mask features resized to the level; None where nothing is masked.
    """

    tokens: Tensor
    positions: Tensor
    mask_features: Tensor | None


def concatenate(levels: list[Level]) -> Level:
    """One level that has the tokens of all."""
    tokens, positions, mask_features = zip(*levels)
    masked = mask_features[0] is not None
    return Level(torch.cat(tokens, 1), torch.cat(positions), torch.cat(mask_features, 1) if masked else None)


def resize(mask_features: Tensor, size: Sequence[int]) -> Tensor:
    """The mask features (B, C, h, w) at the size (h_l, w_l) of a level, (B, S, C), for attention masks.

    Resizing is linear, so it commutes with the product that makes a mask: features are resized, not masks.
    """
    resized = F.interpolate(mask_features.detach(), size=tuple(size), mode='bilinear', align_corners=False)
    return resized.flatten(2).transpose(1, 2)


@MODELS.register_module()
class MaskedAttentionHead(BaseModule):
    """Learned queries that attend, layer by layer, to the inside of their own predicted masks.

    The switches from ``masked_attention`` on undo one change against MaskFormer each (paper tables 4 and X).
    MaskFormer's decoder is this one with masked attention, learned queries, cross-attention first and level embedding
    off, six layers, a dropout of 0.1 and one level.

    Args:
        num_classes: K.
        embed_dims: C, as the pixel decoder's.
        mask_dims: Channels of the mask features.
        num_queries: Q; None for one query for each class, whose class is known (see :mod:`.per_pixel`).
        num_layers: Decoder layers.
        num_levels: L, levels of the memory.
        num_heads: Attention heads.
        ffn_dims: Inner width of the feed-forward networks.
        with_cp: Whether to compute each layer once more in the backward pass instead of keeping what is inside: less
            memory, more time.
        masked_attention: Whether a query looks inside its predicted mask only, or everywhere.
        level_schedule: Which level a layer attends to: 'round_robin' for all in turn, from coarse to fine, a number for
            the same one in every layer, 0 for the coarsest, or 'concat' for the tokens of all levels at once.
        learned_queries: Whether the content of the queries is learned. Else it starts at zero, nothing is predicted
            before the first layer (D = layers), and the first layer looks everywhere.
        query_loss: Whether what learned queries predict before the first layer is an output, which the losses
            supervise (D = layers + 1), or only the first attention mask.
        cross_first: Whether cross-attention comes before self-attention.
        dropout: Share of values that are zeroed in training, see :class:`DecoderLayer`.
        level_embed: Whether tokens get a learned embedding of their level.
        init_cfg: mmengine's initialisation config.

    Raises:
        ConfigError: If there is no such ``level_schedule``.
    """

    def __init__(
        self,
        num_classes: int,
        embed_dims: int = 256,
        mask_dims: int = 256,
        num_queries: int | None = 100,
        num_layers: int = 9,
        num_levels: int = 3,
        num_heads: int = 8,
        ffn_dims: int = 2048,
        with_cp: bool = False,
        masked_attention: bool = True,
        level_schedule: str | int = 'round_robin',
        learned_queries: bool = True,
        query_loss: bool = True,
        cross_first: bool = True,
        dropout: float = 0.0,
        level_embed: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if level_schedule not in ('round_robin', 'concat', *range(num_levels)):
            raise ConfigError(
                f"level_schedule must be 'round_robin', 'concat' or a level from 0 to {num_levels - 1}, "
                f'not {level_schedule!r}'
            )
        if embed_dims % num_heads:
            raise ConfigError(f'num_heads of the head must divide its {embed_dims} channels, and {num_heads} does not.')
        self.num_classes = num_classes
        self.with_cp = with_cp
        self.masked_attention = masked_attention
        self.level_schedule = level_schedule
        self.query_loss = query_loss
        self.dropout = dropout
        Q = num_classes if num_queries is None else num_queries
        self.query_feat = nn.Embedding(Q, embed_dims) if learned_queries else None
        self.query_embed = nn.Embedding(Q, embed_dims)
        self.level_embed = nn.Embedding(num_levels, embed_dims) if level_embed else None
        self.layers = nn.ModuleList(
            DecoderLayer(embed_dims, num_heads, ffn_dims, cross_first, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(embed_dims)
        self.class_embed = None if num_queries is None else Linear(embed_dims, num_classes + 1)
        self.mask_embed = MLP(embed_dims, embed_dims, mask_dims, num_layers=3)

    def init_weights(self) -> None:
        """Initialise as the reference does; what is not named here keeps PyTorch's initialisation."""
        for module in self.layers.modules():
            if isinstance(module, (Attention, FFN)):
                module.init_weights()

    def forward(self, mask_features: Tensor, memory: list[Tensor]) -> HeadOutput:
        """Predict classes and mask embeddings, once before the first layer and after each.

        Args:
            mask_features: (B, C, h, w).
            memory: L maps (B, C, h_l, w_l), from coarse to fine.

        Returns:
            HeadOutput: Of D = layers + 1 predictions, or of D = layers, see ``learned_queries`` and ``query_loss``.
        """
        used = [self.level_schedule] if isinstance(self.level_schedule, int) else range(len(memory))
        levels = [self.make_level(i, memory[i], mask_features) for i in used]
        if self.level_schedule == 'concat':
            levels = [concatenate(levels)]

        content = torch.zeros_like(self.query_embed.weight) if self.query_feat is None else self.query_feat.weight
        query = content.expand(mask_features.shape[0], -1, -1)  # (B, Q, C)
        predictions = [] if self.query_feat is None else [self.predict(query)]
        for i, layer in enumerate(self.layers):
            mask_embed = predictions[-1][1] if predictions else None  # (B, Q, C)
            query = self.update(layer, query, levels[i % len(levels)], mask_embed)
            predictions.append(self.predict(query))

        outputs = predictions if self.query_loss else predictions[-len(self.layers) :]
        class_logits, mask_embed = (torch.stack(x) for x in zip(*outputs))  # (D, B, Q, K + 1), (D, B, Q, C)
        queries = None if self.training or self.class_embed is None else self.norm(query)  # (B, Q, C)
        return HeadOutput(class_logits, mask_embed, mask_features, queries)

    def make_level(self, index: int, x: Tensor, mask_features: Tensor) -> Level:
        """What there is to attend to in a level's map (B, C, h_l, w_l)."""
        tokens, positions = self.make_tokens(index, x)
        return Level(tokens, positions, resize(mask_features, x.shape[-2:]) if self.masked_attention else None)

    def make_tokens(self, index: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, S, C) and positions (S, C) of a level's map (B, C, h_l, w_l)."""
        h, w = x.shape[-2:]
        tokens = x.flatten(2).transpose(1, 2)  # (B, S, C)
        if self.level_embed is not None:
            tokens = tokens + self.level_embed.weight[index]
        positions = sine_position(h, w, x.shape[1], x.device, self.query_embed.weight.dtype).flatten(1).T  # (S, C)
        return tokens, positions

    def update(self, layer: nn.Module, query: Tensor, level: Level, mask_embed: Tensor | None) -> Tensor:
        """The queries (B, Q, C) after a layer, of which ``mask_embed`` (B, Q, C) was predicted, if anything was."""
        tokens, positions, level_features = level
        mask = None
        if level_features is not None and mask_embed is not None:
            mask = self.attention_mask(mask_embed, level_features)  # (B, 1, Q, S)
        query_pos = self.query_embed.weight  # (Q, C)
        return run(layer, query, query_pos, tokens, positions, mask, recompute=self.with_cp, random=self.dropout > 0)

    def predict(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (B, Q, K + 1) and mask embeddings (B, Q, C) of the queries (B, Q, C)."""
        query = self.norm(query)
        class_logits = known_classes(query) if self.class_embed is None else self.class_embed(query)
        return class_logits, self.mask_embed(query)

    @staticmethod
    @torch.no_grad()
    def attention_mask(mask_embed: Tensor, level_features: Tensor) -> Tensor:
        """Where each query may look: inside its mask, or everywhere if that is empty (paper equation 4).

        Args:
            mask_embed: (B, Q, C).
            level_features: (B, S, C), mask features resized to one level.

        Returns:
            Tensor: (B, 1, Q, S) bool.
        """
        inside = products(mask_embed, level_features) >= 0  # (B, Q, S)
        inside |= ~inside.any(-1, keepdim=True)
        return inside[:, None]
