"""What a checkpoint's weights say of the model, and the names and shapes that such a model has."""

import functools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isqrt
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mask2former.errors import CheckpointError

from .members import name_member
from .swin_order import relative_position_index

POINTS = 4  # of a head in a level
Shapes = Mapping[str, tuple[int, ...]]
MAX_WINDOW = 64
INDEX = 'relative_position_index'
COUNTER = 'num_batches_tracked'
RESNETS: dict[tuple[int, ...], str] = {
    (3, 4, 6, 3): 'ResNet-50',
    (3, 4, 23, 3): 'ResNet-101',
    (3, 8, 36, 3): 'ResNet-152',
}
SWINS: dict[tuple[tuple[int, ...], int], str] = {
    ((2, 2, 6, 2), 96): 'Swin-T',
    ((2, 2, 18, 2), 96): 'Swin-S',
    ((2, 2, 18, 2), 128): 'Swin-B',
    ((2, 2, 18, 2), 192): 'Swin-L',
}


@dataclass(frozen=True)
class BackboneSizes:
    """The sizes of a backbone.

    Attributes:
        kind: ``resnet``, ``swin``, ``vit`` or ``other``, of which nothing more is known.
        channels: Channels of the features, fine to coarse.
        depths: Blocks of the stages.
        width: Channels after the stem.
        deep_stem: Whether a ResNet's stem has three convolutions.
        bottleneck: Width of a ResNet's first bottleneck, 0 for basic blocks and for other backbones.
        heads: Attention heads of the stages of a Swin.
        window: Window size of a Swin.
    """

    kind: str
    channels: tuple[int, ...] = ()
    depths: tuple[int, ...] = ()
    width: int = 0
    bottleneck: int = 0
    heads: tuple[int, ...] = ()
    window: int = 0
    deep_stem: bool = False

    def __str__(self) -> str:
        if self.kind == 'other':
            return 'another backbone'
        name = RESNETS.get(self.depths) if self.kind == 'resnet' else SWINS.get((self.depths, self.width))
        return (name or f'{self.kind} {self.depths}') + ('c' if self.deep_stem else '')


@dataclass(frozen=True)
class Architecture:
    """The sizes of a model of the family.

    Attributes:
        backbone: Those of the backbone.
        pixel_decoder: ``deformable``, ``fpn`` or ``encoder`` (an FPN with a transformer encoder).
        embed_dims: C.
        mask_dims: Channels of the mask features.
        num_levels: L; 1 where the head has no embedding of levels.
        samples: Heads times levels times points of the deformable attention, 0 where there is none.
        encoder_layers: Layers of the pixel decoder's encoder.
        encoder_ffn: Their inner width.
        decoder_layers: Layers of the head.
        decoder_ffn: Their inner width.
        num_queries: Q; 0 of the per-pixel baseline, which has no queries.
        num_classes: K.
        learned_queries: Whether the content of the queries is learned.
        level_embed: Whether the head has an embedding of levels.
        memory_proj: Whether the pixel decoder projects the backbone's coarsest map for the head.
        known_classes: Whether a mask's class is known, as it is in the per-pixel baselines.
    """

    backbone: BackboneSizes
    pixel_decoder: str
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
    learned_queries: bool = True
    level_embed: bool = True
    memory_proj: bool = False
    known_classes: bool = False

    @property
    def num_heads(self) -> int:
        """Heads of the deformable attention, if each has four points in a level, as in all published models; else 0."""
        heads, rest = divmod(self.samples, self.num_levels * POINTS)
        return 0 if rest else heads

    @property
    def member(self) -> str:
        """Which model of the family it is, one of :data:`mask2former.checkpoints.members.MEMBERS`."""
        if self.known_classes:
            return 'per-pixel-plus' if self.num_queries else 'per-pixel'
        return name_member(self.pixel_decoder, {self.learned_queries, self.level_embed})

    def __str__(self) -> str:
        queries = f'{self.num_queries} queries' if self.num_queries else 'no queries'
        return f'{self.backbone}, {queries}, {self.num_classes} classes'


class Names:
    """What the names and shapes of a state dict say."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state = state

    def shape(self, name: str, ndim: int) -> tuple[int, ...]:
        if name not in self.state:
            raise CheckpointError(f"lacks '{name}'")
        shape = tuple(self.state[name].shape)
        if len(shape) != ndim or 0 in shape:
            raise CheckpointError(f"holds '{name}' in the impossible shape {shape}")
        return shape

    def count(self, prefix: str) -> int:
        """How many numbers follow a prefix, which must be 0, 1, ..."""
        pattern = re.compile(re.escape(prefix) + r'(\d+)\.')
        numbers = {int(match[1]) for name in self.state if (match := pattern.match(name))}
        if numbers != set(range(len(numbers))):
            raise CheckpointError(f"lacks some of '{prefix}N', of which it has the numbers {sorted(numbers)[:20]}")
        return len(numbers)


def infer_backbone(state: Mapping[str, Tensor], prefix: str = 'backbone.') -> BackboneSizes:
    """The sizes of the backbone of a state dict with our names under a prefix.

    Raises:
        CheckpointError: If a weight that tells them is absent or has an impossible shape; the message is the end of a
            sentence that begins with the file.
    """
    names = Names(state)
    if any(name.startswith(f'{prefix}stages.0.blocks.0.attn.w_msa.') for name in state):
        stages = range(names.count(f'{prefix}stages.'))
        table = 'blocks.0.attn.w_msa.relative_position_bias_table'
        tables = [names.shape(f'{prefix}stages.{s}.{table}', 2) for s in stages]
        width, window = names.shape(f'{prefix}patch_embed.projection.weight', 4)[0], (isqrt(tables[0][0]) + 1) // 2
        if window > MAX_WINDOW:
            raise CheckpointError(f'has windows of {window} tokens, which no Swin has')
        channels, heads = tuple(width * 2**s for s in stages), tuple(table[1] for table in tables)
        for width_of_stage, heads_of_stage in zip(channels, heads):
            if width_of_stage % heads_of_stage:
                raise CheckpointError(f'has {heads_of_stage} attention heads for {width_of_stage} channels')
        depths = tuple(names.count(f'{prefix}stages.{s}.blocks.') for s in stages)
        return BackboneSizes('swin', channels, depths, width, heads=heads, window=window)
    if any(name.startswith(f'{prefix}layer1.0.') for name in state):
        deep_stem = f'{prefix}stem.0.weight' in state
        last = 'conv3' if f'{prefix}layer1.0.conv3.weight' in state else 'conv2'
        return BackboneSizes(
            'resnet',
            channels=tuple(names.shape(f'{prefix}layer{s}.0.{last}.weight', 4)[0] for s in range(1, 5)),
            depths=tuple(names.count(f'{prefix}layer{s}.') for s in range(1, 5)),
            width=names.shape(f'{prefix}{"stem.6" if deep_stem else "conv1"}.weight', 4)[0],
            deep_stem=deep_stem,
            bottleneck=names.shape(f'{prefix}layer1.0.conv1.weight', 4)[0] if last == 'conv3' else 0,
        )
    return BackboneSizes('other')


def infer(state: Mapping[str, Tensor]) -> Architecture:
    """The sizes of the model of a state dict with our names.

    Raises:
        CheckpointError: As :func:`infer_backbone`.
    """
    names = Names(state)
    backbone = infer_backbone(state)
    mask_dims, pyramid_dims = names.shape('pixel_decoder.mask_proj.weight', 4)[:2]
    known_classes, has_queries = 'head.class_embed.weight' not in state, 'head.classifier.weight' not in state
    num_queries, embed_dims = names.shape('head.query_embed.weight', 2) if has_queries else (0, pyramid_dims)
    encoder_layers = names.count('pixel_decoder.encoder.')
    level_embed = 'head.level_embed.weight' in state
    if 'pixel_decoder.level_embed' in state:
        kind, levels = 'deformable', names.shape('pixel_decoder.level_embed', 2)[0]
        firsts = [f'pixel_decoder.input_projs.{i}.0.weight' for i in range(levels)]
        samples = names.shape('pixel_decoder.encoder.0.self_attn.sampling_offsets.bias', 1)[0] // 2
    else:
        kind, samples = ('encoder' if encoder_layers else 'fpn'), 0
        levels = names.shape('head.level_embed.weight', 2)[0] if level_embed else 1
        firsts = ['pixel_decoder.input_proj.weight' if encoder_layers else 'pixel_decoder.top_conv.0.weight']
    if not backbone.channels:
        laterals = range(names.count('pixel_decoder.lateral_convs.'))
        convs = [*firsts, *(f'pixel_decoder.lateral_convs.{i}.0.weight' for i in laterals)]
        backbone = replace(backbone, channels=tuple(names.shape(name, 4)[1] for name in convs[::-1]))
    if not has_queries:
        num_classes = names.shape('head.classifier.weight', 4)[0]
    else:
        num_classes = num_queries if known_classes else names.shape('head.class_embed.weight', 2)[0] - 1
    return Architecture(
        backbone,
        kind,
        embed_dims=embed_dims,
        mask_dims=mask_dims,
        num_levels=levels,
        samples=samples,
        encoder_layers=encoder_layers,
        encoder_ffn=names.shape('pixel_decoder.encoder.0.ffn.linear1.weight', 2)[0] if encoder_layers else 0,
        decoder_layers=names.count('head.layers.'),
        decoder_ffn=names.shape('head.layers.0.ffn.linear1.weight', 2)[0] if has_queries else 0,
        num_queries=num_queries,
        num_classes=num_classes,
        learned_queries='head.query_feat.weight' in state,
        level_embed=level_embed,
        memory_proj='pixel_decoder.memory_proj.weight' in state,
        known_classes=known_classes,
    )


class _LinspaceOnCPU(TorchFunctionMode):
    """mmdet's Swin reads the numbers of a linspace, which need memory."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(dict(kwargs or {}, device='cpu') if func is torch.linspace else kwargs or {}))


@contextmanager
def without_memory() -> Iterator[None]:
    """Modules that are built in this context have the names and shapes of their weights, but no numbers."""
    with torch.device('meta'), _LinspaceOnCPU():
        yield


@functools.lru_cache(maxsize=16)
def backbone_shapes(sizes: BackboneSizes) -> Shapes:
    """Names, without a prefix, and shapes of the weights of a ResNet or a Swin; none of another backbone."""
    if sizes.kind == 'other':
        return MappingProxyType({})
    from mmdet.models.backbones import ResNet, SwinTransformer
    from mmdet.models.backbones.resnet import BasicBlock, Bottleneck

    with without_memory():
        if sizes.kind == 'swin':
            stages = len(sizes.depths)
            return _shapes(
                SwinTransformer(
                    embed_dims=sizes.width,
                    depths=sizes.depths,
                    num_heads=sizes.heads,
                    window_size=sizes.window,
                    strides=(4, *[2] * (stages - 1)),
                    out_indices=range(stages),
                )
            )

        class AnyResNet(ResNet):
            arch_settings = {0: (Bottleneck if sizes.bottleneck else BasicBlock, sizes.depths)}

        base = sizes.bottleneck or sizes.channels[0]
        return _shapes(AnyResNet(0, stem_channels=sizes.width, base_channels=base, deep_stem=sizes.deep_stem))


@functools.lru_cache(maxsize=16)
def expected_shapes(arch: Architecture) -> Shapes:
    """Names and shapes of all weights of our model, without those of a backbone that is neither ResNet nor Swin.

    Raises:
        ConfigError: If there can be no such model.
    """
    from mask2former.models import MaskedAttentionHead, PerPixelHead

    sizes: dict[str, Any] = dict(embed_dims=arch.embed_dims, mask_dims=arch.mask_dims)
    with without_memory():  # one head, or group, where their number changes no shape
        if arch.member == 'per-pixel':
            head: nn.Module = PerPixelHead(arch.num_classes, num_levels=arch.num_levels, **sizes)
        else:
            head = MaskedAttentionHead(
                arch.num_classes,
                num_queries=None if arch.known_classes else arch.num_queries,
                num_layers=arch.decoder_layers,
                num_levels=arch.num_levels,
                num_heads=1,
                ffn_dims=arch.decoder_ffn,
                learned_queries=arch.learned_queries,
                level_embed=arch.level_embed,
                **sizes,
            )
        pixel_decoder = _pixel_decoder(arch, sizes)
    backbone = {f'backbone.{name}': shape for name, shape in backbone_shapes(arch.backbone).items()}
    return MappingProxyType(backbone | shapes_of(dict(pixel_decoder=pixel_decoder, head=head)))


def _pixel_decoder(arch: Architecture, sizes: dict[str, Any]) -> nn.Module:
    """One with the weights of an architecture's pixel decoder."""
    from mask2former.models import pixel_decoder

    channels = arch.backbone.channels
    sizes = dict(sizes, in_channels=channels, strides=[4 * 2**i for i in range(len(channels))], num_groups=1)
    if arch.pixel_decoder == 'deformable':
        return pixel_decoder.MSDeformAttnPixelDecoder(
            num_levels=arch.num_levels,
            num_layers=arch.encoder_layers,
            num_heads=1,
            num_points=arch.samples // arch.num_levels,
            ffn_dims=arch.encoder_ffn,
            **sizes,
        )
    sizes['memory'] = 'top' if arch.memory_proj else 'pyramid'
    if arch.pixel_decoder == 'fpn':
        return pixel_decoder.FPNPixelDecoder(**sizes)
    return pixel_decoder.TransformerFPNPixelDecoder(
        num_layers=arch.encoder_layers, num_heads=1, ffn_dims=arch.encoder_ffn, **sizes
    )


def shapes_of(parts: Mapping[str, nn.Module]) -> dict[str, tuple[int, ...]]:
    """Names, with those of the parts, and shapes of the weights of some parts of a model."""
    return {f'{part}.{name}': shape for part, module in parts.items() for name, shape in _shapes(module).items()}


def _shapes(module: nn.Module) -> Shapes:
    return MappingProxyType({name: tuple(value.shape) for name, value in module.state_dict().items()})


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
