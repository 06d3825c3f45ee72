"""Names of MaskFormer, and of Mask2Former with MaskFormer's pixel decoders, in other projects' checkpoints."""

from . import keys_detectron2, keys_mmdet, keys_transformers
from .key_map import KeyMap, Rule, Substitution

FINER = 3  # features that are added to the coarsest one


def _pyramid(theirs: str, lateral: list[str], output: list[str], top: str, conv: str, norm: str) -> list[Rule]:
    """An FPN under the names ``theirs`` + ``lateral`` and ``output``, from coarse to fine, and ``top``."""
    names = [('top_conv', top)]
    for i in range(FINER):
        names += [(f'lateral_convs.{i}', lateral[i]), (f'output_convs.{i}', output[i])]
    return [
        (f'pixel_decoder.{ours}.{index}.{{p}}', f'{theirs}{name}{part}.{{p}}')
        for ours, name in names
        for index, part in enumerate((conv, norm))
    ]


def _qkv(ours: str, theirs: str) -> Rule:
    return [f'{ours}.{x}_proj.{{p}}' for x in 'qkv'], f'{theirs}.in_proj_{{p}}'


def _attention(ours: str, theirs: str) -> list[Rule]:
    return [_qkv(ours, theirs), (f'{ours}.out_proj.{{p}}', f'{theirs}.out_proj.{{p}}')]


# facebookresearch/MaskFormer, and Mask2Former's FPN decoders, on detectron2
_DECODER, _PREDICTOR = keys_detectron2.DECODER, keys_detectron2.PREDICTOR
_LAYER = _PREDICTOR + 'transformer.decoder.layers.{i}.'
_ENCODER = _DECODER + 'transformer.encoder.layers.{i}.'
_FPN = [
    *_pyramid(
        _DECODER,
        lateral=[f'adapter_{FINER - i}' for i in range(FINER)],
        output=[f'layer_{FINER - i}' for i in range(FINER)],
        top=f'layer_{FINER + 1}',
        conv='',
        norm='.norm',
    ),
    ('pixel_decoder.mask_proj.{p}', _DECODER + 'mask_features.{p}'),
]
_ENCODER_FPN = [
    *_FPN,
    ('pixel_decoder.input_proj.{p}', _DECODER + 'input_proj.{p}'),
    *_attention('pixel_decoder.encoder.{i}.self_attn', _ENCODER + 'self_attn'),
    ('pixel_decoder.encoder.{i}.self_norm.{p}', _ENCODER + 'norm1.{p}'),
    ('pixel_decoder.encoder.{i}.ffn.linear{n}.{p}', _ENCODER + 'linear{n}.{p}'),
    ('pixel_decoder.encoder.{i}.ffn.norm.{p}', _ENCODER + 'norm2.{p}'),
]
_HEAD = [
    ('pixel_decoder.memory_proj.{p}', _PREDICTOR + 'input_proj.{p}'),
    *_attention('head.layers.{i}.self_attn', _LAYER + 'self_attn'),
    *_attention('head.layers.{i}.cross_attn', _LAYER + 'multihead_attn'),
    ('head.layers.{i}.self_norm.{p}', _LAYER + 'norm1.{p}'),
    ('head.layers.{i}.cross_norm.{p}', _LAYER + 'norm2.{p}'),
    ('head.layers.{i}.ffn.linear{n}.{p}', _LAYER + 'linear{n}.{p}'),
    ('head.layers.{i}.ffn.norm.{p}', _LAYER + 'norm3.{p}'),
    ('head.norm.{p}', _PREDICTOR + 'transformer.decoder.norm.{p}'),
    *keys_detectron2.OUTPUTS,
]


def _detectron2(*rules: Rule) -> KeyMap:
    return KeyMap([*keys_detectron2.BACKBONES, *rules], keys_detectron2.IGNORED, keys_detectron2.OURS_IGNORED)


DETECTRON2 = {
    'maskformer': _detectron2(*_FPN, *_HEAD),
    'maskformer-encoder': _detectron2(*_ENCODER_FPN, *_HEAD),
    'per-pixel-plus': _detectron2(*_FPN, *_HEAD),
    'per-pixel': _detectron2(*_FPN, ('head.classifier.{p}', _PREDICTOR + '{p}')),
    'mask2former-fpn': _detectron2(*_FPN, *keys_detectron2.HEAD),
    'mask2former-encoder': _detectron2(*_ENCODER_FPN, *keys_detectron2.HEAD),
}

# transformers' MaskFormerForInstanceSegmentation, which has no encoder
_DECODER, _TRANSFORMER = keys_transformers.DECODER, keys_transformers.TRANSFORMER
_LAYER = _TRANSFORMER + 'decoder.layers.{i}.'
_START = r'^(model\.pixel_level_module\.encoder\.)'
_DECODER_LAYER = r'^(model\.transformer_module\.decoder\.layers\.\d+\.)'
NAMES_ON_DISK: list[Substitution] = [
    *keys_transformers.NAMES_ON_DISK,
    (_DECODER_LAYER + r'(\w+_attn)\.o_proj\.', r'\1\2.out_proj.'),  # in the memory of transformers 5
    (_DECODER_LAYER + r'mlp\.', r'\1'),
]
TO_DISK: list[Substitution] = [
    *keys_transformers.TO_DISK,
    (
        _START + r'(embeddings\.|encoder\.layers\.|swin\.layernorm\.)',
        lambda m: f'{m[1]}model.{m[2].removeprefix("swin.")}',
    ),
    (_START + r'hidden_states_norms\.stage(\d)\.', lambda m: f'{m[1]}hidden_states_norms.{int(m[2]) - 1}.'),
]
TRANSFORMERS = {
    'maskformer': KeyMap(
        [
            *keys_transformers.BACKBONES,
            (
                'backbone.stages.{s}.blocks.{i}.attn.w_msa.relative_position_index',
                keys_transformers.SWIN_BIAS + 'relative_position_index',
            ),
            *_pyramid(
                _DECODER + 'fpn.',
                lateral=[f'layers.{i}.proj' for i in range(FINER)],
                output=[f'layers.{i}.block' for i in range(FINER)],
                top='stem',
                conv='.0',
                norm='.1',
            ),
            ('pixel_decoder.mask_proj.{p}', _DECODER + 'mask_projection.{p}'),
            ('pixel_decoder.memory_proj.{p}', _TRANSFORMER + 'input_projection.{p}'),
            ('head.layers.{i}.self_attn.{rest*}', _LAYER + 'self_attn.{rest*}'),
            ('head.layers.{i}.cross_attn.{rest*}', _LAYER + 'encoder_attn.{rest*}'),
            ('head.layers.{i}.self_norm.{p}', _LAYER + 'self_attn_layer_norm.{p}'),
            ('head.layers.{i}.cross_norm.{p}', _LAYER + 'encoder_attn_layer_norm.{p}'),
            ('head.layers.{i}.ffn.linear{n}.{p}', _LAYER + 'fc{n}.{p}'),
            ('head.layers.{i}.ffn.norm.{p}', _LAYER + 'final_layer_norm.{p}'),
            ('head.norm.{p}', _TRANSFORMER + 'decoder.layernorm.{p}'),
            ('head.query_embed.weight', _TRANSFORMER + 'queries_embedder.weight'),
            ('head.class_embed.{p}', 'class_predictor.{p}'),
            *((f'head.mask_embed.{2 * i}.{{p}}', f'mask_embedder.{i}.0.{{p}}') for i in range(3)),
        ],
        keys_transformers.IGNORED,
    )
}

# mmdet's MaskFormer
_HEAD_NAME = 'panoptic_head.'
_DECODER = _HEAD_NAME + 'pixel_decoder.'
_LAYER = _HEAD_NAME + 'transformer_decoder.layers.{i}.'
_ENCODER = _DECODER + 'encoder.layers.{i}.'


def _mmdet(top: str, *rules: Rule) -> KeyMap:
    pyramid = _pyramid(
        _DECODER,
        lateral=[f'lateral_convs.{FINER - 1 - i}' for i in range(FINER)],
        output=[f'output_convs.{FINER - 1 - i}' for i in range(FINER)],
        top=top,
        conv='.conv',
        norm='.gn',
    )
    return KeyMap(
        [
            ('backbone.{rest*}', 'backbone.{rest*}'),
            *pyramid,
            ('pixel_decoder.mask_proj.{p}', _DECODER + 'mask_feature.{p}'),
            *rules,
            *_attention('head.layers.{i}.{kind}_attn', _LAYER + '{kind}_attn.attn'),
            ('head.layers.{i}.self_norm.{p}', _LAYER + 'norms.0.{p}'),
            ('head.layers.{i}.cross_norm.{p}', _LAYER + 'norms.1.{p}'),
            *keys_mmdet.SHARED,
        ]
    )


MMDET = {
    'maskformer': _mmdet('last_feat_conv', ('pixel_decoder.memory_proj.{p}', _HEAD_NAME + 'decoder_input_proj.{p}')),
    'maskformer-encoder': _mmdet(
        'encoder_out_proj',
        ('pixel_decoder.input_proj.{p}', _DECODER + 'encoder_in_proj.{p}'),
        *_attention('pixel_decoder.encoder.{i}.self_attn', _ENCODER + 'self_attn.attn'),
        ('pixel_decoder.encoder.{i}.self_norm.{p}', _ENCODER + 'norms.0.{p}'),
        ('pixel_decoder.encoder.{i}.ffn.linear1.{p}', _ENCODER + 'ffn.layers.0.0.{p}'),
        ('pixel_decoder.encoder.{i}.ffn.linear2.{p}', _ENCODER + 'ffn.layers.1.{p}'),
        ('pixel_decoder.encoder.{i}.ffn.norm.{p}', _ENCODER + 'norms.1.{p}'),
    ),
}
