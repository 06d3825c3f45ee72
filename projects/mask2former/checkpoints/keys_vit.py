"""Names of plain vision transformers, DINOv2's and DINOv3's, in transformers, timm and facebook's own files.

``*_ROWS`` are the names within a block, ours and theirs.
"""

from math import isqrt

from torch import Tensor

from .key_map import Change

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
