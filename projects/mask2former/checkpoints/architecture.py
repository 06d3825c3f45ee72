"""What a checkpoint's weights say of the model, and the names and shapes that such a model has."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isqrt

import torch
from torch import Tensor

from mask2former.errors import CheckpointError

from .swin_order import relative_position_index

POINTS = 4  # of a head in a level
Shapes = dict[str, tuple[int, ...]]
MAX_WINDOW = 64
INDEX = 'relative_position_index'
COUNTER = 'num_batches_tracked'
NAMES = {
    ('resnet', (3, 4, 6, 3)): 'ResNet-50',
    ('resnet', (3, 4, 23, 3)): 'ResNet-101',
    ('resnet', (3, 8, 36, 3)): 'ResNet-152',
    ('swin', (2, 2, 6, 2), 96): 'Swin-T',
    ('swin', (2, 2, 18, 2), 96): 'Swin-S',
    ('swin', (2, 2, 18, 2), 128): 'Swin-B',
    ('swin', (2, 2, 18, 2), 192): 'Swin-L',
}


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
        key = (self.backbone, self.depths) + ((self.width,) if self.backbone == 'swin' else ())
        name = NAMES.get(key, 'another backbone' if self.backbone == 'other' else f'{self.backbone} {self.depths}')
        return f'{name}, {self.num_queries} queries, {self.num_classes} classes'


class _Names:
    """What the names and shapes of a state dict say."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state = state

    def shape(self, name: str, ndim: int) -> tuple[int, ...]:
        if name not in self.state:
            raise CheckpointError(f"lacks '{name}'")
        found = tuple(self.state[name].shape)
        if len(found) != ndim or 0 in found:
            raise CheckpointError(f"holds '{name}' in the impossible shape {found}")
        return found

    def count(self, prefix: str) -> int:
        """How many numbers follow a prefix, which must be 0, 1, ..."""
        pattern = re.compile(re.escape(prefix) + r'(\d+)\.')
        found = {int(match[1]) for name in self.state if (match := pattern.match(name))}
        if found != set(range(len(found))):
            raise CheckpointError(f"lacks some of '{prefix}N', of which it has the numbers {sorted(found)[:20]}")
        return len(found)


def infer_backbone(state: Mapping[str, Tensor], prefix: str = 'backbone.') -> dict:
    """The fields of `Architecture` that describe the backbone, of a state dict with our names under a prefix.

    Raises:
        CheckpointError: If a weight that tells them is absent or has an impossible shape; the message is the end of a
            sentence that begins with the file.
    """
    names = _Names(state)
    if any(name.startswith(f'{prefix}stages.0.blocks.0.attn.w_msa.') for name in state):
        stages = range(names.count(f'{prefix}stages.'))
        table = 'blocks.0.attn.w_msa.relative_position_bias_table'
        tables = [names.shape(f'{prefix}stages.{s}.{table}', 2) for s in stages]
        width, window = names.shape(f'{prefix}patch_embed.projection.weight', 4)[0], (isqrt(tables[0][0]) + 1) // 2
        if window > MAX_WINDOW:
            raise CheckpointError(f'has windows of {window} tokens, which no Swin has')
        return dict(
            backbone='swin',
            depths=tuple(names.count(f'{prefix}stages.{s}.blocks.') for s in stages),
            width=width,
            bottleneck=0,
            heads=tuple(table[1] for table in tables),
            window=window,
            in_channels=tuple(width * 2**s for s in stages),
        )
    if any(name.startswith(f'{prefix}layer1.0.') for name in state) and f'{prefix}stem.0.weight' not in state:
        last = 'conv3' if f'{prefix}layer1.0.conv3.weight' in state else 'conv2'
        bottleneck = names.shape(f'{prefix}layer1.0.conv1.weight', 4)[0] if last == 'conv3' else 0
        return dict(
            backbone='resnet',
            depths=tuple(names.count(f'{prefix}layer{s}.') for s in range(1, 5)),
            width=names.shape(f'{prefix}conv1.weight', 4)[0],
            bottleneck=bottleneck,
            heads=(),
            window=0,
            in_channels=tuple(names.shape(f'{prefix}layer{s}.0.{last}.weight', 4)[0] for s in range(1, 5)),
        )
    return dict(backbone='other', depths=(), width=0, bottleneck=0, heads=(), window=0, in_channels=())


def infer(state: Mapping[str, Tensor]) -> Architecture:
    """The architecture of a state dict with our names.

    Raises:
        CheckpointError: As :func:`infer_backbone`.
    """
    names = _Names(state)
    backbone = infer_backbone(state)
    num_queries, embed_dims = names.shape('head.query_feat.weight', 2)
    levels = names.shape('pixel_decoder.level_embed', 2)[0]
    convs = [f'pixel_decoder.input_projs.{i}.0.weight' for i in range(levels)] + [
        f'pixel_decoder.lateral_convs.{i}.0.weight' for i in range(names.count('pixel_decoder.lateral_convs.'))
    ]
    if not backbone['in_channels']:
        backbone['in_channels'] = tuple(names.shape(name, 4)[1] for name in convs[::-1])
    return Architecture(
        **backbone,
        embed_dims=embed_dims,
        num_levels=levels,
        mask_dims=names.shape('pixel_decoder.mask_proj.weight', 4)[0],
        samples=names.shape('pixel_decoder.encoder.0.self_attn.sampling_offsets.bias', 1)[0] // 2,
        encoder_layers=names.count('pixel_decoder.encoder.'),
        encoder_ffn=names.shape('pixel_decoder.encoder.0.ffn.linear1.weight', 2)[0],
        decoder_layers=names.count('head.layers.'),
        decoder_ffn=names.shape('head.layers.0.ffn.linear1.weight', 2)[0],
        num_queries=num_queries,
        num_classes=names.shape('head.class_embed.weight', 2)[0] - 1,
    )


def backbone_shapes(fields: Mapping) -> Shapes:
    """Names, without a prefix, and shapes of the weights of a backbone that is described by `Architecture`'s fields."""
    return dict(resnet=_resnet, swin=_swin, other=lambda fields: {})[fields['backbone']](fields)


def expected_shapes(arch: Architecture) -> Shapes:
    """Names and shapes of all weights of our model, without those of a backbone that is neither ResNet nor Swin."""
    backbone = {f'backbone.{name}': shape for name, shape in backbone_shapes(asdict(arch)).items()}
    return backbone | _pixel_decoder(arch) | _head(arch)


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
    return {f'{name}.weight': (outputs, inputs), f'{name}.bias': (outputs,)}


def _norm(name: str, channels: int) -> Shapes:
    return {f'{name}.weight': (channels,), f'{name}.bias': (channels,)}


def _batch_norm(name: str, channels: int) -> Shapes:
    return _norm(name, channels) | {
        f'{name}.running_mean': (channels,),
        f'{name}.running_var': (channels,),
        f'{name}.{COUNTER}': (),
    }


def _resnet(fields: Mapping) -> Shapes:
    shapes = {'conv1.weight': (fields['width'], 3, 7, 7)} | _batch_norm('bn1', fields['width'])
    inputs = fields['width']
    for s, blocks in enumerate(fields['depths']):
        outputs = fields['in_channels'][s]
        for i in range(blocks):
            block = f'layer{s + 1}.{i}'
            if fields['bottleneck']:
                inner = fields['bottleneck'] * 2**s
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


def _swin(fields: Mapping) -> Shapes:
    embed, window = fields['width'], fields['window']
    shapes = {'patch_embed.projection.weight': (embed, 3, 4, 4), 'patch_embed.projection.bias': (embed,)}
    shapes |= _norm('patch_embed.norm', embed)
    table, tokens = (2 * window - 1) ** 2, window**2
    for s, (blocks, heads) in enumerate(zip(fields['depths'], fields['heads'])):
        width = embed * 2**s
        for i in range(blocks):
            block = f'stages.{s}.blocks.{i}'
            attn = f'{block}.attn.w_msa'
            shapes |= _norm(f'{block}.norm1', width) | _norm(f'{block}.norm2', width)
            shapes |= {f'{attn}.relative_position_bias_table': (table, heads), f'{attn}.{INDEX}': (tokens, tokens)}
            shapes |= _linear(f'{attn}.qkv', width, 3 * width) | _linear(f'{attn}.proj', width, width)
            shapes |= _linear(f'{block}.ffn.layers.0.0', width, 4 * width)
            shapes |= _linear(f'{block}.ffn.layers.1', 4 * width, width)
        if s < len(fields['depths']) - 1:
            shapes |= {f'stages.{s}.downsample.reduction.weight': (2 * width, 4 * width)}
            shapes |= _norm(f'stages.{s}.downsample.norm', 4 * width)
        shapes |= _norm(f'norm{s}', width)
    return shapes


def _pixel_decoder(arch: Architecture) -> Shapes:
    C, coarse_to_fine = arch.embed_dims, arch.in_channels[::-1]
    shapes: Shapes = {'pixel_decoder.level_embed': (arch.num_levels, C)}
    for i, channels in enumerate(coarse_to_fine[: arch.num_levels]):
        name = f'pixel_decoder.input_projs.{i}'
        shapes |= {f'{name}.0.weight': (C, channels, 1, 1), f'{name}.0.bias': (C,)} | _norm(f'{name}.1', C)
    for i in range(arch.encoder_layers):
        name = f'pixel_decoder.encoder.{i}'
        shapes |= _linear(f'{name}.self_attn.sampling_offsets', C, 2 * arch.samples)
        shapes |= _linear(f'{name}.self_attn.attention_weights', C, arch.samples)
        shapes |= _linear(f'{name}.self_attn.value_proj', C, C) | _linear(f'{name}.self_attn.output_proj', C, C)
        shapes |= _norm(f'{name}.norm', C) | _ffn(f'{name}.ffn', C, arch.encoder_ffn)
    for i, channels in enumerate(coarse_to_fine[arch.num_levels :]):
        for part, conv in (('lateral', (C, channels, 1, 1)), ('output', (C, C, 3, 3))):
            name = f'pixel_decoder.{part}_convs.{i}'
            shapes |= {f'{name}.0.weight': conv} | _norm(f'{name}.1', C)
    return shapes | {
        'pixel_decoder.mask_proj.weight': (arch.mask_dims, C, 1, 1),
        'pixel_decoder.mask_proj.bias': (arch.mask_dims,),
    }


def _ffn(name: str, width: int, inner: int) -> Shapes:
    return (
        _linear(f'{name}.linear1', width, inner)
        | _linear(f'{name}.linear2', inner, width)
        | _norm(f'{name}.norm', width)
    )


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
