"""Names in the reference implementation (facebookresearch/Mask2Former on detectron2, with ResNet or Swin)."""

import re
from collections.abc import Mapping

from torch import Tensor

from .key_map import KeyMap, Rule, Substitution
from .swin_order import MERGE_ORDER

DECODER = 'sem_seg_head.pixel_decoder.'
ENCODER = DECODER + 'transformer.encoder.layers.{i}.'
PREDICTOR = 'sem_seg_head.predictor.'
CROSS = PREDICTOR + 'transformer_cross_attention_layers.{i}.'
SELF = PREDICTOR + 'transformer_self_attention_layers.{i}.'
FFN = PREDICTOR + 'transformer_ffn_layers.{i}.'

# The same classes in checkpoints of an older age, and of MaskFormer's ones: see `_load_from_state_dict` and `_version`
# of MaskFormerHead and MultiScaleMaskedTransformerDecoder.
OLD_NAMES: list[Substitution] = [
    (r'^module\.', ''),
    (r'^sem_seg_head\.(?!pixel_decoder\.|predictor\.)', DECODER),
    (r'^(sem_seg_head\.predictor\.)static_query\.', r'\1query_feat.'),
]

# A deep stem has three convolutions, of which the first has the name of a usual stem's.
_DEEP_STEM = re.compile(r'(module\.)?(backbone\.)?stem\.conv3\.')
_FIRST = r'^((?:module\.)?(?:backbone\.)?stem\.conv)1\.'
TO_DISK: list[Substitution] = [(r'^(backbone\.stem\.conv)0\.', r'\g<1>1.')]


def name_deep_stem(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same, the first convolution of a deep stem as number 0, as the tables have it."""
    deep = any(_DEEP_STEM.match(name) for name in state)
    return {re.sub(_FIRST, r'\g<1>0.', name) if deep else name: value for name, value in state.items()}


RESNET: list[Rule] = [
    ('backbone.conv1.{p}', 'backbone.stem.conv1.{p}'),
    ('backbone.bn1.{p}', 'backbone.stem.conv1.norm.{p}'),
]
for _layer, _number in ((0, 0), (3, 2), (6, 3)):
    RESNET += [
        (f'backbone.stem.{_layer}.{{p}}', f'backbone.stem.conv{_number}.{{p}}'),
        (f'backbone.stem.{_layer + 1}.{{p}}', f'backbone.stem.conv{_number}.norm.{{p}}'),
    ]
for _s in range(1, 5):
    _ours, _theirs = f'backbone.layer{_s}.{{i}}.', f'backbone.res{_s + 1}.{{i}}.'
    RESNET += [
        (_ours + 'downsample.0.{p}', _theirs + 'shortcut.{p}'),
        (_ours + 'downsample.1.{p}', _theirs + 'shortcut.norm.{p}'),
    ]
    for _c in range(1, 4):
        RESNET += [
            (_ours + f'conv{_c}.{{p}}', _theirs + f'conv{_c}.{{p}}'),
            (_ours + f'bn{_c}.{{p}}', _theirs + f'conv{_c}.norm.{{p}}'),
        ]

SWIN: list[Rule] = [
    ('backbone.patch_embed.projection.{p}', 'backbone.patch_embed.proj.{p}'),
    ('backbone.patch_embed.norm.{p}', 'backbone.patch_embed.norm.{p}'),
    ('backbone.stages.{s}.blocks.{i}.attn.w_msa.{rest*}', 'backbone.layers.{s}.blocks.{i}.attn.{rest*}'),
    ('backbone.stages.{s}.blocks.{i}.ffn.layers.0.0.{p}', 'backbone.layers.{s}.blocks.{i}.mlp.fc1.{p}'),
    ('backbone.stages.{s}.blocks.{i}.ffn.layers.1.{p}', 'backbone.layers.{s}.blocks.{i}.mlp.fc2.{p}'),
    ('backbone.stages.{s}.blocks.{i}.{norm}.{p}', 'backbone.layers.{s}.blocks.{i}.{norm}.{p}'),
    ('backbone.stages.{s}.downsample.{layer}.{p}', 'backbone.layers.{s}.downsample.{layer}.{p}', MERGE_ORDER),
    *((f'backbone.norm{s}.{{p}}', f'backbone.norm{s}.{{p}}') for s in range(4)),
]

BACKBONES = RESNET + SWIN
OUTPUTS: list[Rule] = [
    ('head.query_embed.weight', PREDICTOR + 'query_embed.weight'),
    ('head.class_embed.{p}', PREDICTOR + 'class_embed.{p}'),
    *((f'head.mask_embed.{2 * i}.{{p}}', PREDICTOR + f'mask_embed.layers.{i}.{{p}}') for i in range(3)),
]
HEAD: list[Rule] = [
    ([f'head.layers.{{i}}.cross_attn.{x}_proj.{{p}}' for x in 'qkv'], CROSS + 'multihead_attn.in_proj_{p}'),
    ('head.layers.{i}.cross_attn.out_proj.{p}', CROSS + 'multihead_attn.out_proj.{p}'),
    ('head.layers.{i}.cross_norm.{p}', CROSS + 'norm.{p}'),
    ([f'head.layers.{{i}}.self_attn.{x}_proj.{{p}}' for x in 'qkv'], SELF + 'self_attn.in_proj_{p}'),
    ('head.layers.{i}.self_attn.out_proj.{p}', SELF + 'self_attn.out_proj.{p}'),
    ('head.layers.{i}.self_norm.{p}', SELF + 'norm.{p}'),
    ('head.layers.{i}.ffn.{layer}.{p}', FFN + '{layer}.{p}'),
    ('head.norm.{p}', PREDICTOR + 'decoder_norm.{p}'),
    ('head.query_feat.weight', PREDICTOR + 'query_feat.weight'),
    ('head.level_embed.weight', PREDICTOR + 'level_embed.weight'),
    *OUTPUTS,
]
IGNORED = {
    'criterion.empty_weight': 'weights of the classes in the loss, which the config says',
    'pixel_mean': "normalisation of the images, which the config's data_preprocessor says",
    'pixel_std': "normalisation of the images, which the config's data_preprocessor says",
}
OURS_IGNORED = {'backbone.{rest*}.num_batches_tracked': "a counter which the reference's frozen batch norm has not"}

DETECTRON2 = KeyMap(
    [
        *BACKBONES,
        ('pixel_decoder.input_projs.{i}.{layer}.{p}', DECODER + 'input_proj.{i}.{layer}.{p}'),
        ('pixel_decoder.level_embed', DECODER + 'transformer.level_embed'),
        ('pixel_decoder.encoder.{i}.self_attn.{rest*}', ENCODER + 'self_attn.{rest*}'),
        ('pixel_decoder.encoder.{i}.norm.{p}', ENCODER + 'norm1.{p}'),
        ('pixel_decoder.encoder.{i}.ffn.linear{n}.{p}', ENCODER + 'linear{n}.{p}'),
        ('pixel_decoder.encoder.{i}.ffn.norm.{p}', ENCODER + 'norm2.{p}'),
        # One FPN level: the reference's decoder always takes three of the four features.
        ('pixel_decoder.lateral_convs.0.0.{p}', DECODER + 'adapter_1.{p}'),
        ('pixel_decoder.lateral_convs.0.1.{p}', DECODER + 'adapter_1.norm.{p}'),
        ('pixel_decoder.output_convs.0.0.{p}', DECODER + 'layer_1.{p}'),
        ('pixel_decoder.output_convs.0.1.{p}', DECODER + 'layer_1.norm.{p}'),
        ('pixel_decoder.mask_proj.{p}', DECODER + 'mask_features.{p}'),
        *HEAD,
    ],
    IGNORED,
    OURS_IGNORED,
)
