"""Names of EoMT in transformers and in tue-mps/eomt, with the blocks of DINOv2 and of DINOv3.

A model there has one list of blocks. Ours are the backbone's and, the last ones, the head's: a table is of a number of
blocks in each, and made from the names and shapes of a state dict of any format.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from mask2former.errors import CheckpointError

from .key_map import KeyMap, Rule
from .keys_vit import DINOV2_ROWS, DINOV3_ROWS, GATED_DINOV2_ROWS, HF_POSITIONS, POSITIONS, TIMM_GATED_ROWS, TIMM_ROWS

MAX_BLOCKS = 1000
PROBABILITIES = ('head.mask_probability', 'attn_mask_probs', 'network.attn_mask_probs')


class Layout(NamedTuple):
    """How the blocks of a model lie and what they are.

    Attributes:
        backbone: Blocks without queries.
        head: Blocks with queries.
        rotated: Whether positions are rotated (DINOv3) and not learned (DINOv2).
        gated: Whether the feed-forward networks are gated.
    """

    backbone: int
    head: int
    rotated: bool
    gated: bool


def layout_of(state: Mapping[str, Tensor]) -> Layout:
    """What the names and shapes of a state dict say, in any format.

    Raises:
        CheckpointError: If they do not say it; the message is the end of a sentence that begins with the file.
    """
    last: dict[str, int] = {}  # of each list of blocks
    for name in state:
        if match := re.match(r'(.*\b(?:layers|blocks))\.(\d{1,9})\.', name):
            last[match[1]] = max(last.get(match[1], 0), int(match[2]))
    blocks = sum(last.values()) + len(last)
    head = next((state[name] for name in PROBABILITIES if name in state), None)
    if head is None or head.ndim != 1 or not 0 < len(head) <= blocks <= MAX_BLOCKS:
        raise CheckpointError("lacks the probability of its masks for each block with queries ('attn_mask_probs')")
    names = '\n'.join(state)
    gated = bool(re.search(r'\.(gate|gate_proj|weights_in)\.', names))
    if first := next((name for name in state if name.endswith('.0.mlp.fc1.weight')), None):  # timm's holds both halves
        second = state.get(first.replace('fc1', 'fc2'))
        gated = second is not None and second.ndim == 2 and len(state[first]) == 2 * second.shape[1]
    return Layout(
        blocks - len(head), len(head), rotated=not re.search(r'positions|pos_embed|position_emb', names), gated=gated
    )


def _blocks(layout: Layout, theirs: str, rows: list[tuple]) -> list[Rule]:
    places = [f'backbone.blocks.{i}.' for i in range(layout.backbone)]
    places += [f'head.blocks.{i}.' for i in range(layout.head)]
    return [
        ([ours + name for name in row[0]] if isinstance(row[0], list) else ours + row[0], f'{theirs}{i}.{row[1]}')
        for i, ours in enumerate(places)
        for row in rows
    ]


EMPTY_WEIGHT = 'weights of the classes in the loss, which the config says'
_HEAD: list[Rule] = [
    ('head.query_feat.weight', 'query.weight'),
    ('head.norm.{p}', 'layernorm.{p}'),
    ('head.class_embed.{p}', 'class_predictor.{p}'),
    *((f'head.mask_embed.{2 * i}.{{p}}', f'mask_head.fc{i + 1}.{{p}}') for i in range(3)),
    ('head.upscale.{i}.norm.{p}', 'upscale_block.block.{i}.layernorm2d.{p}'),
    ('head.upscale.{i}.{conv}.{p}', 'upscale_block.block.{i}.{conv}.{p}'),
    ('head.mask_probability', 'attn_mask_probs'),
    ('backbone.cls_token', 'embeddings.cls_token'),
    ('backbone.registers', 'embeddings.register_tokens'),
]


def transformers(state: Mapping[str, Tensor]) -> KeyMap:
    """The table of ``EomtForUniversalSegmentation`` or ``EomtDinov3ForUniversalSegmentation`` for this model."""
    layout = layout_of(state)
    if layout.rotated:
        rows, projection, positions = DINOV3_ROWS, '', []
    else:
        rows, projection = (GATED_DINOV2_ROWS if layout.gated else DINOV2_ROWS), 'projection.'
        positions = [('backbone.positions', 'embeddings.position_embeddings.weight', HF_POSITIONS)]
    patches = ('backbone.patch_embed.{p}', f'embeddings.patch_embeddings.{projection}{{p}}')
    return KeyMap(
        [patches, *positions, *_blocks(layout, 'layers.', rows), *_HEAD], {'criterion.empty_weight': EMPTY_WEIGHT}
    )


_ENCODER = 'network.encoder.backbone.'
_REFERENCE_HEAD: list[Rule] = [
    ('head.query_feat.weight', 'network.q.weight'),
    ('head.norm.{p}', _ENCODER + 'norm.{p}'),
    ('head.class_embed.{p}', 'network.class_head.{p}'),
    ('head.mask_embed.{i}.{p}', 'network.mask_head.{i}.{p}'),
    ('head.upscale.{rest*}', 'network.upscale.{rest*}'),
    ('head.mask_probability', 'network.attn_mask_probs'),
]
_REFERENCE_DINOV2: list[Rule] = [
    ('backbone.patch_embed.{p}', _ENCODER + 'patch_embed.proj.{p}'),
    ('backbone.cls_token', _ENCODER + 'cls_token'),
    ('backbone.registers', _ENCODER + 'reg_token'),
    ('backbone.positions', _ENCODER + 'pos_embed', POSITIONS),
]
_REFERENCE_DINOV3: list[Rule] = [
    ('backbone.patch_embed.{p}', _ENCODER + 'patch_embed.patch_embeddings.{p}'),
    ('backbone.cls_token', _ENCODER + 'patch_embed.cls_token'),
    ('backbone.registers', _ENCODER + 'patch_embed.register_tokens'),
]
_REFERENCE_IGNORED = {
    'criterion.empty_weight': EMPTY_WEIGHT,
    'network.encoder.pixel_{kind}': 'what images are normalised with, which the config says',
    _ENCODER + 'rope_embeddings.{rest*}': 'angles, which are computed',
    'metrics.{rest*}': 'no weights: the sums of a metric',
}


def reference(state: Mapping[str, Tensor]) -> KeyMap:
    """The table of tue-mps/eomt: the names of timm's DINOv2 or of transformers' DINOv3 in its encoder."""
    layout = layout_of(state)
    if layout.rotated:
        rows, rules = DINOV3_ROWS, _REFERENCE_DINOV3
    else:
        rows, rules = (TIMM_GATED_ROWS if layout.gated else TIMM_ROWS), _REFERENCE_DINOV2
    return KeyMap([*rules, *_blocks(layout, _ENCODER + 'blocks.', rows), *_REFERENCE_HEAD], _REFERENCE_IGNORED)


def reference_makes(arch: object, meta: Mapping) -> dict[str, Tensor]:
    """What tue-mps/eomt has besides: mean and standard deviation of RGB images between 0 and 1."""
    values = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    return {f'network.encoder.pixel_{kind}': torch.tensor(value).view(1, 3, 1, 1) for kind, value in values.items()}
