"""Names in mmdet's Mask2Former of images and of videos (``Mask2Former``, ``Mask2FormerVideo``, with ResNet or Swin)."""

from .key_map import KeyMap, Rule, Substitution


def _qkv(ours: str, theirs: str) -> Rule:
    return [f'{ours}.{x}_proj.{{p}}' for x in 'qkv'], f'{theirs}.in_proj_{{p}}'


# Names of mmseg's semantic models and mmdet's of videos, and of mmdet 2: attentions and feed-forward networks in lists.
_LAYER = r'^(panoptic_head\.transformer_decoder\.layers\.\d+\.)'
_ENCODER_LAYER = r'^(panoptic_head\.pixel_decoder\.encoder\.layers\.\d+\.)'
OTHER_NAMES: list[Substitution] = [
    (r'^module\.', ''),
    (r'^(decode|track)_head\.', 'panoptic_head.'),
    (_LAYER + r'attentions\.0\.', r'\1cross_attn.'),
    (_LAYER + r'attentions\.1\.', r'\1self_attn.'),
    (_LAYER + r'ffns\.0\.', r'\1ffn.'),
    (_ENCODER_LAYER + r'attentions\.0\.', r'\1self_attn.'),
    (_ENCODER_LAYER + r'ffns\.0\.', r'\1ffn.'),
]

# What a model of videos has is the same under another name.
OF_VIDEOS: list[Substitution] = [(r'^panoptic_head\.', 'track_head.')]

# What MaskFormer has, too.
SHARED: list[Rule] = [
    ('head.layers.{i}.ffn.linear1.{p}', 'panoptic_head.transformer_decoder.layers.{i}.ffn.layers.0.0.{p}'),
    ('head.layers.{i}.ffn.linear2.{p}', 'panoptic_head.transformer_decoder.layers.{i}.ffn.layers.1.{p}'),
    ('head.layers.{i}.ffn.norm.{p}', 'panoptic_head.transformer_decoder.layers.{i}.norms.2.{p}'),
    ('head.norm.{p}', 'panoptic_head.transformer_decoder.post_norm.{p}'),
    ('head.query_embed.weight', 'panoptic_head.query_embed.weight'),
    ('head.class_embed.{p}', 'panoptic_head.cls_embed.{p}'),
    ('head.mask_embed.{i}.{p}', 'panoptic_head.mask_embed.{i}.{p}'),
]

MMDET = KeyMap(
    [
        ('backbone.{rest*}', 'backbone.{rest*}'),
        ('pixel_decoder.input_projs.{i}.0.{p}', 'panoptic_head.pixel_decoder.input_convs.{i}.conv.{p}'),
        ('pixel_decoder.input_projs.{i}.1.{p}', 'panoptic_head.pixel_decoder.input_convs.{i}.gn.{p}'),
        ('pixel_decoder.level_embed', 'panoptic_head.pixel_decoder.level_encoding.weight'),
        (
            'pixel_decoder.encoder.{i}.self_attn.{rest*}',
            'panoptic_head.pixel_decoder.encoder.layers.{i}.self_attn.{rest*}',
        ),
        ('pixel_decoder.encoder.{i}.norm.{p}', 'panoptic_head.pixel_decoder.encoder.layers.{i}.norms.0.{p}'),
        (
            'pixel_decoder.encoder.{i}.ffn.linear1.{p}',
            'panoptic_head.pixel_decoder.encoder.layers.{i}.ffn.layers.0.0.{p}',
        ),
        (
            'pixel_decoder.encoder.{i}.ffn.linear2.{p}',
            'panoptic_head.pixel_decoder.encoder.layers.{i}.ffn.layers.1.{p}',
        ),
        ('pixel_decoder.encoder.{i}.ffn.norm.{p}', 'panoptic_head.pixel_decoder.encoder.layers.{i}.norms.1.{p}'),
        ('pixel_decoder.{convs}_convs.{i}.0.{p}', 'panoptic_head.pixel_decoder.{convs}_convs.{i}.conv.{p}'),
        ('pixel_decoder.{convs}_convs.{i}.1.{p}', 'panoptic_head.pixel_decoder.{convs}_convs.{i}.gn.{p}'),
        ('pixel_decoder.mask_proj.{p}', 'panoptic_head.pixel_decoder.mask_feature.{p}'),
        _qkv('head.layers.{i}.{kind}_attn', 'panoptic_head.transformer_decoder.layers.{i}.{kind}_attn.attn'),
        (
            'head.layers.{i}.{kind}_attn.out_proj.{p}',
            'panoptic_head.transformer_decoder.layers.{i}.{kind}_attn.attn.out_proj.{p}',
        ),
        ('head.layers.{i}.cross_norm.{p}', 'panoptic_head.transformer_decoder.layers.{i}.norms.0.{p}'),
        ('head.layers.{i}.self_norm.{p}', 'panoptic_head.transformer_decoder.layers.{i}.norms.1.{p}'),
        ('head.query_feat.weight', 'panoptic_head.query_feat.weight'),
        ('head.level_embed.weight', 'panoptic_head.level_embed.weight'),
        *SHARED,
    ]
)
