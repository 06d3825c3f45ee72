"""What an EoMT's weights say of it, and the names and shapes that such a model has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mask2former.errors import CheckpointError

from .infer import BackboneSizes, Names, Shapes, shapes_of, without_memory
from .keys_eomt import Layout, layout_of

HEAD_DIMS = 64  # channels of an attention head in all published vision transformers
VITS = {(12, 192): 'ViT-Ti', (12, 384): 'ViT-S', (12, 768): 'ViT-B', (24, 1024): 'ViT-L', (40, 1536): 'ViT-g'}


@dataclass(frozen=True)
class EncoderOnlyArchitecture:
    """The sizes of an EoMT.

    Attributes:
        layout: Its blocks.
        embed_dims: C.
        ffn_dims: Inner width of the feed-forward networks.
        patch_size: Side of a patch in pixels.
        grid_size: Rows and columns of learned positions; None where they are rotated.
        num_registers: Register tokens.
        num_queries: Q.
        num_classes: K.
        num_upscales: How often patches are doubled in size.
        key_bias: Whether keys have a bias.
    """

    layout: Layout
    embed_dims: int
    ffn_dims: int
    patch_size: int
    grid_size: tuple[int, int] | None
    num_registers: int
    num_queries: int
    num_classes: int
    num_upscales: int
    key_bias: bool

    @property
    def member(self) -> str:
        """Which model of the family it is."""
        return 'eomt'

    @property
    def backbone(self) -> BackboneSizes:
        """The sizes of the backbone."""
        return BackboneSizes('vit', (self.embed_dims,))

    @property
    def num_heads(self) -> int:
        """Attention heads, which weights do not tell: as many as in published models."""
        return max(self.embed_dims // HEAD_DIMS, 1)

    def __str__(self) -> str:
        blocks = self.layout.backbone + self.layout.head
        name = VITS.get((blocks, self.embed_dims), f'ViT of {blocks} blocks and {self.embed_dims} channels')
        positions = 'rotated' if self.layout.rotated else 'learned'
        return f'EoMT of a {name}, {positions} positions, {self.num_queries} queries, {self.num_classes} classes'


def infer_eomt(state: Mapping[str, Tensor]) -> EncoderOnlyArchitecture:
    """The sizes of the EoMT of a state dict with our names.

    Raises:
        CheckpointError: As :func:`mask2former.checkpoints.infer.infer`.
    """
    names, layout = Names(state), layout_of(state)
    num_queries, embed_dims = names.shape('head.query_feat.weight', 2)
    if (names.count('backbone.blocks.'), names.count('head.blocks.')) != (layout.backbone, layout.head):
        raise CheckpointError(f'has not {layout.head} blocks with queries, for which it has probabilities')
    return EncoderOnlyArchitecture(
        layout,
        embed_dims,
        ffn_dims=names.shape('head.blocks.0.ffn.linear1.weight', 2)[0],
        patch_size=names.shape('backbone.patch_embed.weight', 4)[-1],
        grid_size=None if layout.rotated else names.shape('backbone.positions', 4)[2:],  # type: ignore[arg-type]
        num_registers=names.shape('backbone.registers', 3)[1],
        num_queries=num_queries,
        num_classes=names.shape('head.class_embed.weight', 2)[0] - 1,
        num_upscales=names.count('head.upscale.'),
        key_bias='head.blocks.0.attn.k_proj.bias' in state,
    )


def expected_eomt_shapes(arch: EncoderOnlyArchitecture) -> Shapes:
    """Names and shapes of all weights of our model."""
    from mask2former.models import EncoderOnlyHead
    from mask2former.models.backbones import PlainViT

    block: dict[str, Any] = dict(num_heads=1, ffn_dims=arch.ffn_dims, gated=arch.layout.gated, key_bias=arch.key_bias)
    with without_memory():
        backbone = PlainViT(
            arch.embed_dims,
            arch.layout.backbone,
            patch_size=arch.patch_size,
            grid_size=arch.grid_size,
            num_registers=arch.num_registers,
            **block,
        )
        head = EncoderOnlyHead(
            arch.num_classes,
            arch.embed_dims,
            arch.embed_dims,
            num_queries=arch.num_queries,
            num_blocks=arch.layout.head,
            num_upscales=arch.num_upscales,
            **block,
        )
    return shapes_of(dict(backbone=backbone, head=head))
