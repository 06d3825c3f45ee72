"""Names of EoMT in transformers: with the blocks of DINOv2 and of DINOv3.

A model there has one list of blocks. Ours are the backbone's and, the last ones, the head's: a table is of a number of
blocks in each.
"""

from .key_map import Change, KeyMap, Rule


def _square(positions):
    """Positions (n, C) of a square grid to (1, C, side, side)."""
    side = round(len(positions) ** 0.5)
    return positions.T.unflatten(1, (side, side))[None]


POSITIONS = Change(_square, lambda positions: positions[0].flatten(1).T)


def _blocks(backbone: int, head: int, rows: list[tuple[str, str]]) -> list[Rule]:
    places = [f'backbone.blocks.{i}.' for i in range(backbone)] + [f'head.blocks.{i}.' for i in range(head)]
    return [(ours + row, f'layers.{i}.{theirs}') for i, ours in enumerate(places) for row, theirs in rows]


_SHARED = [
    ('norm{n}.{p}', 'norm{n}.{p}'),
    ('scale1', 'layer_scale1.lambda1'),
    ('scale2', 'layer_scale2.lambda1'),
    *((f'attn.{x}_proj.{{p}}', f'attention.{x}_proj.{{p}}') for x in 'qkv'),
]
_DINOV2 = [
    *_SHARED,
    ('attn.out_proj.{p}', 'attention.out_proj.{p}'),
    ('ffn.linear1.{p}', 'mlp.fc1.{p}'),
    ('ffn.linear2.{p}', 'mlp.fc2.{p}'),
]
_DINOV2_GATED = [
    *_DINOV2[:-2],
    ('ffn.gate.{p}', 'mlp.gate_proj.{p}'),
    ('ffn.linear1.{p}', 'mlp.up_proj.{p}'),
    ('ffn.linear2.{p}', 'mlp.down_proj.{p}'),
]
_DINOV3 = [
    *_SHARED,
    ('attn.out_proj.{p}', 'attention.o_proj.{p}'),
    ('ffn.linear1.{p}', 'mlp.up_proj.{p}'),
    ('ffn.linear2.{p}', 'mlp.down_proj.{p}'),
]
_HEAD: list[Rule] = [
    ('head.query_feat.weight', 'query.weight'),
    ('head.norm.{p}', 'layernorm.{p}'),
    ('head.class_embed.{p}', 'class_predictor.{p}'),
    *((f'head.mask_embed.{2 * i}.{{p}}', f'mask_head.fc{i + 1}.{{p}}') for i in range(3)),
    ('head.upscale.{i}.norm.{p}', 'upscale_block.block.{i}.layernorm2d.{p}'),
    ('head.upscale.{i}.{conv}.{p}', 'upscale_block.block.{i}.{conv}.{p}'),
    ('head.mask_probability', 'attn_mask_probs'),
]
_TOKENS: list[Rule] = [
    ('backbone.cls_token', 'embeddings.cls_token'),
    ('backbone.registers', 'embeddings.register_tokens'),
]
IGNORED = {'criterion.empty_weight': 'weights of the classes in the loss, which the config says'}


def dinov2(backbone: int, head: int, gated: bool = False) -> KeyMap:
    """The table of ``EomtForUniversalSegmentation`` with so many blocks in our backbone and in our head."""
    return KeyMap(
        [
            ('backbone.patch_embed.{p}', 'embeddings.patch_embeddings.projection.{p}'),
            ('backbone.positions', 'embeddings.position_embeddings.weight', POSITIONS),
            *_TOKENS,
            *_blocks(backbone, head, _DINOV2_GATED if gated else _DINOV2),
            *_HEAD,
        ],
        IGNORED,
    )


def dinov3(backbone: int, head: int) -> KeyMap:
    """The table of ``EomtDinov3ForUniversalSegmentation``."""
    return KeyMap(
        [
            ('backbone.patch_embed.{p}', 'embeddings.patch_embeddings.{p}'),
            *_TOKENS,
            *_blocks(backbone, head, _DINOV3),
            *_HEAD,
        ],
        IGNORED,
    )
