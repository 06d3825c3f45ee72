"""What a checkpoint's weights say of the model, and the names and shapes that such a model has."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor

from .loading import CheckpointError
from .swin_order import relative_position_index

POINTS = 4  # of a head in a level
Shapes = dict[str, tuple[int, ...]]
MAX_WINDOW = 64
INDEX = 'relative_position_index'
COUNTER = 'num_batches_tracked'
NAMES = {
    ('resnet', (3, 4, 6, 3)): 'ResNet-50', ('resnet', (3, 4, 23, 3)): 'ResNet-101',
    ('resnet', (3, 8, 36, 3)): 'ResNet-152', ('swin', (2, 2, 6, 2), 96): 'Swin-T',
    ('swin', (2, 2, 18, 2), 96): 'Swin-S', ('swin', (2, 2, 18, 2), 128): 'Swin-B',
    ('swin', (2, 2, 18, 2), 192): 'Swin-L'}


@dataclass(frozen=True)
class Architecture:
    """The sizes of a Mask2Former.

    Attributes:
        backbone (str): ``resnet``, ``swin`` or ``other``, of which nothing more is known.
        depths (tuple[int, ...]): Blocks of the stages of the backbone.
        width (int): Channels after the stem.
        bottleneck (int): Width of a ResNet's first bottleneck, 0 for basic blocks and for other backbones.
        heads (tuple[int, ...]): Attention heads of the stages of a Swin.
        window (int): Window size of a Swin.
        in_channels (tuple[int, ...]): Channels of the features, fine to coarse.
        embed_dims (int): C.
        mask_dims (int): Channels of the mask features.
        num_levels (int): L.
        samples (int): Heads times levels times points of the deformable attention.
        encoder_layers (int): Layers of the pixel decoder.
        encoder_ffn (int): Their inner width.
        decoder_layers (int): Layers of the head.
        decoder_ffn (int): Their inner width.
        num_queries (int): Q.
        num_classes (int): K.
    """

    backbone: str
    depths: tuple[int, ...]
    width: int
    bottleneck: int
    heads: tuple[int, ...]
    window: int
    in_channels: tuple[int, ...]
    embed_dims: int
    mask_dims: int
    num_levels: int
    samples: int
    encoder_layers: int
    encoder_ffn: int
    decoder_layers: int
    decoder_ffn: int
    num_queries: int
    num_classes: int

    @property
    def num_heads(self) -> int:
        """Attention heads, if each has four points in a level, as in all published models; 0 if that cannot be."""
        heads, rest = divmod(self.samples, self.num_levels * POINTS)
        return 0 if rest else heads

    def __str__(self) -> str:
        key = (self.backbone, self.depths) + ((self.width, ) if self.backbone == 'swin' else ())
        name = NAMES.get(key, 'another backbone' if self.backbone == 'other' else f'{self.backbone} {self.depths}')
        return f'{name}, {self.num_queries} queries, {self.num_classes} classes'


def infer(state: Mapping[str, Tensor]) -> Architecture:
    """The architecture of a state dict with our names.

    Raises:
        CheckpointError: If a weight that tells it is absent or has an impossible shape; the message is the end of a
            sentence that begins with the file.
    """

    def shape(name: str, ndim: int) -> tuple[int, ...]:
        if name not in state:
            raise CheckpointError(f"lacks '{name}'")
        found = tuple(state[name].shape)
        if len(found) != ndim or 0 in found:
            raise CheckpointError(f"holds '{name}' in the impossible shape {found}")
        return found

    def count(pattern: str) -> int:
        found = {int(match[1]) for name in state if (match := re.match(pattern, name))}
        if found != set(range(len(found))):
            raise CheckpointError(f"lacks some of its layers '{pattern}', of which it has {sorted(found)[:20]}".replace(
                '\\', ''))
        return len(found)

    num_queries, embed_dims = shape('head.query_feat.weight', 2)
    levels = shape('pixel_decoder.level_embed', 2)[0]
    fpn = [f'pixel_decoder.lateral_convs.{i}.0.weight' for i in range(count(r'pixel_decoder\.lateral_convs\.(\d+)\.'))]
    coarse_to_fine = [shape(name, 4)[1]
                      for name in [f'pixel_decoder.input_projs.{i}.0.weight' for i in range(levels)] + fpn]
    offsets = shape('pixel_decoder.encoder.0.self_attn.sampling_offsets.bias', 1)[0]
    stem = dict(depths=(), width=0, bottleneck=0, heads=(), window=0)
    if 'backbone.patch_embed.projection.weight' in state and 'backbone.norm3.weight' in state:
        blocks = [rf'backbone\.stages\.{s}\.blocks\.(\d+)\.' for s in range(count(r'backbone\.stages\.(\d+)\.'))]
        tables = [shape(f'backbone.stages.{s}.blocks.0.attn.w_msa.relative_position_bias_table', 2)
                  for s in range(len(blocks))]
        stem |= dict(depths=tuple(map(count, blocks)), width=shape('backbone.patch_embed.projection.weight', 4)[0],
                     heads=tuple(table[1] for table in tables), window=(isqrt(tables[0][0]) + 1) // 2)
        if stem['window'] > MAX_WINDOW:
            raise CheckpointError(f"has windows of {stem['window']} tokens, which no Swin has")
        backbone = 'swin'
    elif 'backbone.conv1.weight' in state and 'backbone.layer4.0.conv1.weight' in state:
        bottleneck = shape('backbone.layer1.0.conv1.weight', 4)[0] if 'backbone.layer1.0.conv3.weight' in state else 0
        stem |= dict(depths=tuple(count(rf'backbone\.layer{s}\.(\d+)\.') for s in range(1, 5)),
                     width=shape('backbone.conv1.weight', 4)[0], bottleneck=bottleneck)
        backbone = 'resnet'
    else:
        backbone = 'other'
    return Architecture(
        backbone=backbone, **stem, in_channels=tuple(coarse_to_fine[::-1]), embed_dims=embed_dims, num_levels=levels,
        mask_dims=shape('pixel_decoder.mask_proj.weight', 4)[0], samples=offsets // 2,
        encoder_layers=count(r'pixel_decoder\.encoder\.(\d+)\.'),
        encoder_ffn=shape('pixel_decoder.encoder.0.ffn.linear1.weight', 2)[0],
        decoder_layers=count(r'head\.layers\.(\d+)\.'), decoder_ffn=shape('head.layers.0.ffn.linear1.weight', 2)[0],
        num_queries=num_queries, num_classes=shape('head.class_embed.weight', 2)[0] - 1)


def expected_shapes(arch: Architecture) -> Shapes:
    """Names and shapes of all weights of our model, without those of a backbone that is neither ResNet nor Swin."""
    backbone = dict(resnet=_resnet, swin=_swin, other=lambda arch: {})[arch.backbone](arch)
    return {f'backbone.{name}': shape for name, shape in backbone.items()} | _pixel_decoder(arch) | _head(arch)


def fill_computed(state: dict[str, Tensor], shapes: Shapes) -> dict[str, str]:
    """Add what follows from the architecture and is no weight; returns its names with the reasons."""
    made = {}
    for name, shape in shapes.items():
        if name not in state and name.endswith(INDEX):
            state[name] = relative_position_index(isqrt(shape[0]))
            made[name] = 'a table that follows from the window size'
        elif name not in state and name.endswith(COUNTER):
            state[name] = torch.zeros(shape, dtype=torch.int64)
            made[name] = 'a counter, which starts at zero'
    return made


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f'{name}.weight': (outputs, inputs), f'{name}.bias': (outputs, )}


def _norm(name: str, channels: int) -> Shapes:
    return {f'{name}.weight': (channels, ), f'{name}.bias': (channels, )}


def _batch_norm(name: str, channels: int) -> Shapes:
    return _norm(name, channels) | {
        f'{name}.running_mean': (channels, ), f'{name}.running_var': (channels, ), f'{name}.{COUNTER}': ()}


def _resnet(arch: Architecture) -> Shapes:
    shapes = {'conv1.weight': (arch.width, 3, 7, 7)} | _batch_norm('bn1', arch.width)
    inputs = arch.width
    for s, blocks in enumerate(arch.depths):
        outputs = arch.in_channels[s] if s < len(arch.in_channels) else 0
        for i in range(blocks):
            block = f'layer{s + 1}.{i}'
            if arch.bottleneck:
                inner = arch.bottleneck * 2**s
                convs = [(inner, inputs, 1, 1), (inner, inner, 3, 3), (outputs, inner, 1, 1)]
            else:
                convs = [(outputs, inputs, 3, 3), (outputs, outputs, 3, 3)]
            for c, conv in enumerate(convs, 1):
                shapes |= {f'{block}.conv{c}.weight': conv} | _batch_norm(f'{block}.bn{c}', conv[0])
            if i == 0 and (s > 0 or inputs != outputs):
                shapes |= {f'{block}.downsample.0.weight': (outputs, inputs, 1, 1)}
                shapes |= _batch_norm(f'{block}.downsample.1', outputs)
            inputs = outputs
    return shapes


def _swin(arch: Architecture) -> Shapes:
    shapes = {'patch_embed.projection.weight': (arch.width, 3, 4, 4), 'patch_embed.projection.bias': (arch.width, )}
    shapes |= _norm('patch_embed.norm', arch.width)
    table, tokens = (2 * arch.window - 1)**2, arch.window**2
    for s, (blocks, heads) in enumerate(zip(arch.depths, arch.heads)):
        width = arch.width * 2**s
        for i in range(blocks):
            block = f'stages.{s}.blocks.{i}'
            attn = f'{block}.attn.w_msa'
            shapes |= _norm(f'{block}.norm1', width) | _norm(f'{block}.norm2', width)
            shapes |= {f'{attn}.relative_position_bias_table': (table, heads), f'{attn}.{INDEX}': (tokens, tokens)}
            shapes |= _linear(f'{attn}.qkv', width, 3 * width) | _linear(f'{attn}.proj', width, width)
            shapes |= _linear(f'{block}.ffn.layers.0.0', width, 4 * width)
            shapes |= _linear(f'{block}.ffn.layers.1', 4 * width, width)
        if s < len(arch.depths) - 1:
            shapes |= {f'stages.{s}.downsample.reduction.weight': (2 * width, 4 * width)}
            shapes |= _norm(f'stages.{s}.downsample.norm', 4 * width)
        shapes |= _norm(f'norm{s}', width)
    return shapes


def _pixel_decoder(arch: Architecture) -> Shapes:
    C, coarse_to_fine = arch.embed_dims, arch.in_channels[::-1]
    shapes: Shapes = {'pixel_decoder.level_embed': (arch.num_levels, C)}
    for i, channels in enumerate(coarse_to_fine[:arch.num_levels]):
        name = f'pixel_decoder.input_projs.{i}'
        shapes |= {f'{name}.0.weight': (C, channels, 1, 1), f'{name}.0.bias': (C, )} | _norm(f'{name}.1', C)
    for i in range(arch.encoder_layers):
        name = f'pixel_decoder.encoder.{i}'
        shapes |= _linear(f'{name}.self_attn.sampling_offsets', C, 2 * arch.samples)
        shapes |= _linear(f'{name}.self_attn.attention_weights', C, arch.samples)
        shapes |= _linear(f'{name}.self_attn.value_proj', C, C) | _linear(f'{name}.self_attn.output_proj', C, C)
        shapes |= _norm(f'{name}.norm', C) | _ffn(f'{name}.ffn', C, arch.encoder_ffn)
    for i, channels in enumerate(coarse_to_fine[arch.num_levels:]):
        for part, conv in (('lateral', (C, channels, 1, 1)), ('output', (C, C, 3, 3))):
            name = f'pixel_decoder.{part}_convs.{i}'
            shapes |= {f'{name}.0.weight': conv} | _norm(f'{name}.1', C)
    return shapes | {'pixel_decoder.mask_proj.weight': (arch.mask_dims, C, 1, 1),
                     'pixel_decoder.mask_proj.bias': (arch.mask_dims, )}


def _ffn(name: str, width: int, inner: int) -> Shapes:
    return _linear(f'{name}.linear1', width, inner) | _linear(f'{name}.linear2', inner, width) | _norm(
        f'{name}.norm', width)


def _head(arch: Architecture) -> Shapes:
    C = arch.embed_dims
    shapes: Shapes = {f'head.{name}.weight': (arch.num_queries, C) for name in ('query_feat', 'query_embed')}
    shapes |= {'head.level_embed.weight': (arch.num_levels, C)}
    for i in range(arch.decoder_layers):
        name = f'head.layers.{i}'
        for kind in ('cross', 'self'):
            for proj in ('q', 'k', 'v', 'out'):
                shapes |= _linear(f'{name}.{kind}_attn.{proj}_proj', C, C)
            shapes |= _norm(f'{name}.{kind}_norm', C)
        shapes |= _ffn(f'{name}.ffn', C, arch.decoder_ffn)
    shapes |= _norm('head.norm', C) | _linear('head.class_embed', C, arch.num_classes + 1)
    widths = (C, C, C, arch.mask_dims)
    for i in range(3):
        shapes |= _linear(f'head.mask_embed.{2 * i}', widths[i], widths[i + 1])
    return shapes
