"""The masked-attention transformer decoder (paper sections 3.2.2 and 3.2.3)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mask2former.ops.linear import Linear, products
from mask2former.ops.precision import full_precision
from mask2former.registry import MODELS

from .layers import FFN, MLP, Attention, run, sine_position


class HeadOutput(NamedTuple):
    """What the head predicts. Masks stay factors: a mask is formed only where somebody needs it.

    Attributes:
        class_logits: (D, B, Q, K + 1), no-object is index K.
        mask_embed: (D, B, Q, C).
        mask_features: (B, C, h, w).
    """

    class_logits: Tensor
    mask_embed: Tensor
    mask_features: Tensor

    def full_precision(self) -> 'HeadOutput':
        """The same in float32; float64 is left as it is."""
        return HeadOutput(*full_precision(*self))

    def mask_logits(self, layer: int = -1) -> Tensor:
        """All masks of one decoder output, (B, Q, h, w)."""
        features = self.mask_features.flatten(2).transpose(1, 2)  # (B, h*w, C)
        return products(self.mask_embed[layer], features).unflatten(-1, self.mask_features.shape[-2:])


class MaskedAttentionLayer(nn.Module):
    """Masked cross-attention, self-attention, feed-forward network; all post-norm and without dropout.

    Args:
        embed_dims: C.
        num_heads: Number of heads.
        ffn_dims: Inner width of the feed-forward network.
    """

    def __init__(self, embed_dims: int, num_heads: int, ffn_dims: int) -> None:
        super().__init__()
        self.cross_attn = Attention(embed_dims, num_heads)
        self.cross_norm = nn.LayerNorm(embed_dims)
        self.self_attn = Attention(embed_dims, num_heads)
        self.self_norm = nn.LayerNorm(embed_dims)
        self.ffn = FFN(embed_dims, ffn_dims)

    def forward(self, query: Tensor, query_pos: Tensor, memory: Tensor, memory_pos: Tensor, mask: Tensor) -> Tensor:
        """Update the queries.

        Args:
            query: (B, Q, C).
            query_pos: (Q, C).
            memory: (B, S, C), one level.
            memory_pos: (S, C).
            mask: (B, 1, Q, S) bool, True where a query may look.

        Returns:
            Tensor: (B, Q, C).
        """
        query = self.cross_norm(query + self.cross_attn(query + query_pos, memory + memory_pos, memory, mask))
        positioned = query + query_pos
        query = self.self_norm(query + self.self_attn(positioned, positioned, query))
        return self.ffn(query)


@MODELS.register_module()
class MaskedAttentionHead(BaseModule):
    """Learned queries that attend, layer by layer, to the inside of their own predicted masks.

    Args:
        num_classes: K.
        embed_dims: C, as the pixel decoder's.
        mask_dims: Channels of the mask features.
        num_queries: Q.
        num_layers: Decoder layers.
        num_levels: L, levels that the layers take in turn.
        num_heads: Attention heads.
        ffn_dims: Inner width of the feed-forward networks.
        with_cp: Whether to compute each layer once more in the backward pass instead of keeping what is inside: less
            memory, more time.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        num_classes: int,
        embed_dims: int = 256,
        mask_dims: int = 256,
        num_queries: int = 100,
        num_layers: int = 9,
        num_levels: int = 3,
        num_heads: int = 8,
        ffn_dims: int = 2048,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.num_levels = num_levels
        self.with_cp = with_cp
        self.query_feat = nn.Embedding(num_queries, embed_dims)
        self.query_embed = nn.Embedding(num_queries, embed_dims)
        self.level_embed = nn.Embedding(num_levels, embed_dims)
        self.layers = nn.ModuleList(MaskedAttentionLayer(embed_dims, num_heads, ffn_dims) for _ in range(num_layers))
        self.norm = nn.LayerNorm(embed_dims)
        self.class_embed = Linear(embed_dims, num_classes + 1)
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
            HeadOutput: Of D = layers + 1 predictions.
        """
        tokens, positions, level_features = [], [], []
        for level, x in enumerate(memory):
            h, w = x.shape[-2:]
            tokens.append(x.flatten(2).transpose(1, 2) + self.level_embed.weight[level])  # (B, S, C)
            positions.append(sine_position(h, w, x.shape[1], x.device, self.level_embed.weight.dtype).flatten(1).T)
            # Resizing is linear, so it commutes with the product that makes a mask: features are resized, not masks.
            resized = F.interpolate(mask_features.detach(), size=(h, w), mode='bilinear', align_corners=False)
            level_features.append(resized.flatten(2).transpose(1, 2))  # (B, S, C)

        query = self.query_feat.weight.expand(len(mask_features), -1, -1)  # (B, Q, C)
        query_pos = self.query_embed.weight
        predictions = [self.predict(query)]
        for i, layer in enumerate(self.layers):
            level = i % self.num_levels
            mask = self.attention_mask(predictions[-1][1], level_features[level])
            query = run(layer, query, query_pos, tokens[level], positions[level], mask, recompute=self.with_cp)
            predictions.append(self.predict(query))

        class_logits, mask_embed = (torch.stack(x) for x in zip(*predictions))  # (D, B, Q, K + 1), (D, B, Q, C)
        return HeadOutput(class_logits, mask_embed, mask_features)

    def predict(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (B, Q, K + 1) and mask embeddings (B, Q, C) of the queries (B, Q, C)."""
        query = self.norm(query)
        return self.class_embed(query), self.mask_embed(query)

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
