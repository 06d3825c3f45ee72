"""Names of plain vision transformers, DINOv2's and DINOv3's, in transformers, timm and facebook's own files.

``*_ROWS`` are the names within a block, ours and theirs.
"""

from collections.abc import Mapping
from math import isqrt

import torch
from torch import Tensor

from .key_map import Change, Converted, KeyMap, Rule

Rows = list[tuple[str | list[str], str]]


def _square(positions: Tensor) -> Tensor:
    """Positions (1, n, C) of a square grid to (1, C, side, side)."""
    side = isqrt(positions.shape[1])
    return positions.transpose(1, 2).unflatten(2, (side, side))


POSITIONS = Change(_square, lambda positions: positions.flatten(2).transpose(1, 2))
HF_POSITIONS = Change(lambda positions: _square(positions[None]), lambda positions: positions[0].flatten(1).T)

_NORMS: Rows = [('norm{n}.{p}', 'norm{n}.{p}')]
_SCALES: Rows = [('scale1', 'layer_scale1.lambda1'), ('scale2', 'layer_scale2.lambda1')]
_QKV: Rows = [(f'attn.{x}_proj.{{p}}', f'attention.{x}_proj.{{p}}') for x in 'qkv']
_MLP: Rows = [('ffn.linear1.{p}', 'mlp.fc1.{p}'), ('ffn.linear2.{p}', 'mlp.fc2.{p}')]
_GATED_MLP: Rows = [
    ('ffn.gate.{p}', 'mlp.gate_proj.{p}'),
    ('ffn.linear1.{p}', 'mlp.up_proj.{p}'),
    ('ffn.linear2.{p}', 'mlp.down_proj.{p}'),
]
DINOV3_ROWS: Rows = [*_NORMS, *_SCALES, *_QKV, ('attn.out_proj.{p}', 'attention.o_proj.{p}'), *_GATED_MLP]
# transformers' EoMT; a gated network was one tensor in its version 4.
_EOMT = [*_NORMS, *_SCALES, *_QKV, ('attn.out_proj.{p}', 'attention.out_proj.{p}')]
DINOV2_ROWS: Rows = [*_EOMT, *_MLP]
GATED_DINOV2_ROWS: Rows = [
    *_EOMT,
    *_GATED_MLP,
    (['ffn.gate.{p}', 'ffn.linear1.{p}'], 'mlp.weights_in.{p}'),
    ('ffn.linear2.{p}', 'mlp.weights_out.{p}'),
]
_TIMM: Rows = [
    *_NORMS,
    ('scale1', 'ls1.gamma'),
    ('scale2', 'ls2.gamma'),
    ([f'attn.{x}_proj.{{p}}' for x in 'qkv'], 'attn.qkv.{p}'),
    ('attn.out_proj.{p}', 'attn.proj.{p}'),
]
TIMM_ROWS: Rows = [*_TIMM, *_MLP]
TIMM_GATED_ROWS: Rows = [*_TIMM, (['ffn.gate.{p}', 'ffn.linear1.{p}'], 'mlp.fc1.{p}'), _MLP[1]]

_TOKENS: Rows = [('patch_embed.{p}', 'patch_embed.proj.{p}'), ('cls_token', 'cls_token')]
_IGNORED = {
    '{start*}mask_token': 'for what is hidden in pretraining',
    'mask_token': 'for what is hidden in pretraining',
    'head.{rest*}': 'the classifier',
    'rope_embed.{rest*}': 'angles, which are computed',
    'rope_embeddings.{rest*}': 'angles, which are computed',
    'rope.{rest*}': 'angles, which are computed',
    'blocks.{i}.attn.qkv.bias_mask': 'says that keys have no bias',
    'blocks.{i}.attn.k_bias': 'zero: keys have no bias',
}


def _in_blocks(theirs: str, rows: Rows) -> list[Rule]:
    return [
        ([f'blocks.{{i}}.{name}' for name in ours] if isinstance(ours, list) else f'blocks.{{i}}.{ours}', theirs + name)
        for ours, name in rows
    ]


_HF_DINOV2: Rows = [
    *_NORMS,
    *_SCALES,
    *((f'attn.{x[0]}_proj.{{p}}', f'attention.attention.{x}.{{p}}') for x in ('query', 'key', 'value')),
    ('attn.out_proj.{p}', 'attention.output.dense.{p}'),
    *_MLP,
    (['ffn.gate.{p}', 'ffn.linear1.{p}'], 'mlp.weights_in.{p}'),
    ('ffn.linear2.{p}', 'mlp.weights_out.{p}'),
]
_HF_TOKENS: Rows = [('cls_token', 'embeddings.cls_token'), ('registers', 'embeddings.register_tokens')]


def _of_timm(rows: Rows) -> KeyMap:
    """timm's and facebook's own names, with those of registers and positions in either."""
    return KeyMap(
        [
            *_TOKENS,
            *(('registers', name) for name in ('reg_token', 'register_tokens', 'storage_tokens')),
            ('positions', 'pos_embed', POSITIONS),
            ('norm.{p}', 'norm.{p}'),
            *_in_blocks('blocks.{i}.', rows),
        ],
        _IGNORED,
    )


HF_DINOV2 = KeyMap(
    [
        *_HF_TOKENS,
        ('patch_embed.{p}', 'embeddings.patch_embeddings.projection.{p}'),
        ('positions', 'embeddings.position_embeddings', POSITIONS),
        ('norm.{p}', 'layernorm.{p}'),
        *_in_blocks('encoder.layer.{i}.', _HF_DINOV2),
    ],
    _IGNORED,
)
HF_DINOV3 = KeyMap(
    [
        *_HF_TOKENS,
        ('patch_embed.{p}', 'embeddings.patch_embeddings.{p}'),
        ('norm.{p}', 'norm.{p}'),
        *_in_blocks('layer.{i}.', DINOV3_ROWS),
    ],
    _IGNORED,
)
TIMM = _of_timm(
    [
        *TIMM_ROWS,
        ('scale{n}', 'gamma_{n}'),  # its DINOv3
        ('attn.q_proj.bias', 'attn.q_bias'),
        ('attn.v_proj.bias', 'attn.v_bias'),
        (['ffn.gate.{p}', 'ffn.linear1.{p}'], 'mlp.w12.{p}'),  # facebook's
        ('ffn.linear2.{p}', 'mlp.w3.{p}'),
    ]
)
TIMM_GATED = _of_timm(TIMM_GATED_ROWS)


def is_vit(state: Mapping[str, Tensor]) -> bool:
    """Whether these are the names of a plain vision transformer alone."""
    return any(
        f'{start}norm1.weight' in state for start in ('blocks.0.', 'encoder.layer.0.', 'layer.0.', 'model.layer.0.')
    )


def read_vit(state: Mapping[str, Tensor]) -> tuple[str, Converted]:
    """What it is, and the weights of a plain vision transformer with the names of ``PlainViT``, and ``norm``.

    Learned positions of the class token are added to it. DINOv3's keys have no bias, and queries and values one of zero
    where a file has none.

    Raises:
        ValueError: If weights that belong together are not all there or do not fit each other.
    """
    state = {name.removeprefix('model.'): value for name, value in state.items()}
    rotated = not any(name.endswith(('pos_embed', 'position_embeddings')) for name in state)
    for positions, token in (('pos_embed', 'cls_token'), ('embeddings.position_embeddings', 'embeddings.cls_token')):
        value = state.get(positions)
        if value is not None and value.ndim == 3 and token in state and isqrt(value.shape[1]) ** 2 != value.shape[1]:
            state |= {token: state[token] + value[:, :1], positions: value[:, 1:]}
    if any(name.startswith('encoder.layer.') for name in state):
        title, keys = 'DINOv2 (transformers)', HF_DINOV2
    elif any(name.startswith('layer.') for name in state):
        title, keys = 'DINOv3 (transformers)', HF_DINOV3
    else:
        first, second = state.get('blocks.0.mlp.fc1.weight'), state.get('blocks.0.mlp.fc2.weight')
        packed = first is not None and second is not None and len(first) == 2 * second.shape[-1]
        title, keys = f'DINOv{3 if rotated else 2} (timm, facebook)', (TIMM_GATED if packed else TIMM)
    converted = keys.read(state)
    found = converted.state
    if 'registers' not in found and 'cls_token' in found:
        found['registers'] = found['cls_token'][:, :0]
    for i in range(sum(name.endswith('.scale1') for name in found) if rotated else 0):
        found.pop(f'blocks.{i}.attn.k_proj.bias', None)
        for x in 'qv':
            scale = found.get(f'blocks.{i}.scale1')
            if scale is not None and f'blocks.{i}.attn.{x}_proj.bias' not in found:
                found[f'blocks.{i}.attn.{x}_proj.bias'] = torch.zeros_like(scale)
    return title, converted
