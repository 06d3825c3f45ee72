"""Names in transformers' ``Mask2FormerForUniversalSegmentation``, with the ResNet or the Swin of transformers."""

from .key_map import KeyMap, Rule, Substitution
from .swin_order import MERGE_ORDER

ENCODER = 'model.pixel_level_module.encoder.'
DECODER = 'model.pixel_level_module.decoder.'
TRANSFORMER = 'model.transformer_module.'

# Names on disk, which are those of transformers 4; transformers 5 renames them as it reads and writes. The first rows
# are those of the first releases.
_LAYER = r'(encoder\.layers\.\d+\.blocks\.\d+\.)'
_START = r'^(model\.pixel_level_module\.encoder\.)'
NAMES_ON_DISK: list[Substitution] = [
    (r'^module\.', ''),
    (_START + r'model\.', r'\1'),
    (_START + r'hidden_states_norms\.(\d)\.', lambda m: f'{m[1]}hidden_states_norms.stage{int(m[2]) + 1}.'),
    (_START + r'(embeddings\.|encoder\.layers\.|layernorm\.)', r'\1swin.\2'),
    (_LAYER + r'attention\.self\.(q|k|v)(?:uery|ey|alue)\.', r'\1attention.\2_proj.'),
    (_LAYER + r'attention\.self\.relative_position', r'\1attention.relative_position_bias.relative_position'),
    (_LAYER + r'attention\.output\.dense\.', r'\1attention.o_proj.'),
    (_LAYER + r'intermediate\.dense\.', r'\1mlp.fc1.'),
    (_LAYER + r'output\.dense\.', r'\1mlp.fc2.'),
]
_WORDS = dict(q='query', k='key', v='value')
TO_DISK: list[Substitution] = [
    (_START + r'swin\.(embeddings\.|encoder\.layers\.)', r'\1\2'),
    (_LAYER + r'attention\.(q|k|v)_proj\.', lambda m: f'{m[1]}attention.self.{_WORDS[m[2]]}.'),
    (_LAYER + r'attention\.relative_position_bias\.', r'\1attention.self.'),
    (_LAYER + r'attention\.o_proj\.', r'\1attention.output.dense.'),
    (_LAYER + r'mlp\.fc1\.', r'\1intermediate.dense.'),
    (_LAYER + r'mlp\.fc2\.', r'\1output.dense.'),
]

SWIN: list[Rule] = [
    ('backbone.patch_embed.projection.{p}', ENCODER + 'swin.embeddings.patch_embeddings.projection.{p}'),
    ('backbone.patch_embed.norm.{p}', ENCODER + 'swin.embeddings.norm.{p}'),
    ('backbone.stages.{s}.blocks.{i}.norm1.{p}', ENCODER + 'swin.encoder.layers.{s}.blocks.{i}.layernorm_before.{p}'),
    ('backbone.stages.{s}.blocks.{i}.norm2.{p}', ENCODER + 'swin.encoder.layers.{s}.blocks.{i}.layernorm_after.{p}'),
    (
        'backbone.stages.{s}.blocks.{i}.attn.w_msa.qkv.{p}',
        [ENCODER + f'swin.encoder.layers.{{s}}.blocks.{{i}}.attention.{x}_proj.{{p}}' for x in 'qkv'],
    ),
    (
        'backbone.stages.{s}.blocks.{i}.attn.w_msa.proj.{p}',
        ENCODER + 'swin.encoder.layers.{s}.blocks.{i}.attention.o_proj.{p}',
    ),
    (
        'backbone.stages.{s}.blocks.{i}.attn.w_msa.relative_position_bias_table',
        ENCODER + 'swin.encoder.layers.{s}.blocks.{i}.attention.relative_position_bias.relative_position_bias_table',
    ),
    ('backbone.stages.{s}.blocks.{i}.ffn.layers.0.0.{p}', ENCODER + 'swin.encoder.layers.{s}.blocks.{i}.mlp.fc1.{p}'),
    ('backbone.stages.{s}.blocks.{i}.ffn.layers.1.{p}', ENCODER + 'swin.encoder.layers.{s}.blocks.{i}.mlp.fc2.{p}'),
    (
        'backbone.stages.{s}.downsample.{layer}.{p}',
        ENCODER + 'swin.encoder.layers.{s}.downsample.{layer}.{p}',
        MERGE_ORDER,
    ),
    *((f'backbone.norm{s}.{{p}}', ENCODER + f'hidden_states_norms.stage{s + 1}.{{p}}') for s in range(4)),
]

RESNET: list[Rule] = [
    ('backbone.conv1.{p}', ENCODER + 'embedder.embedder.convolution.{p}'),
    ('backbone.bn1.{p}', ENCODER + 'embedder.embedder.normalization.{p}'),
]
for _s in range(4):
    _ours, _theirs = f'backbone.layer{_s + 1}.{{i}}.', ENCODER + f'encoder.stages.{_s}.layers.{{i}}.'
    RESNET += [
        (_ours + 'downsample.0.{p}', _theirs + 'shortcut.convolution.{p}'),
        (_ours + 'downsample.1.{p}', _theirs + 'shortcut.normalization.{p}'),
    ]
    for _c in range(3):
        RESNET += [
            (_ours + f'conv{_c + 1}.{{p}}', _theirs + f'layer.{_c}.convolution.{{p}}'),
            (_ours + f'bn{_c + 1}.{{p}}', _theirs + f'layer.{_c}.normalization.{{p}}'),
        ]

SWIN_BIAS = ENCODER + 'swin.encoder.layers.{s}.blocks.{i}.attention.relative_position_bias.'
BACKBONES = SWIN + RESNET
IGNORED = {
    'criterion.empty_weight': 'weights of the classes in the loss, which the config says',
    ENCODER + 'swin.layernorm.{p}': 'a norm that the model never applies',
    SWIN_BIAS + 'relative_position_index': 'a table that is computed again',
}
OURS_IGNORED = {
    'backbone.stages.{s}.blocks.{i}.attn.w_msa.relative_position_index': 'a table that transformers computes again'
}
TRANSFORMERS = KeyMap(
    [
        *BACKBONES,
        ('pixel_decoder.input_projs.{i}.{layer}.{p}', DECODER + 'input_projections.{i}.{layer}.{p}'),
        ('pixel_decoder.level_embed', DECODER + 'level_embed'),
        ('pixel_decoder.encoder.{i}.self_attn.{rest*}', DECODER + 'encoder.layers.{i}.self_attn.{rest*}'),
        ('pixel_decoder.encoder.{i}.norm.{p}', DECODER + 'encoder.layers.{i}.self_attn_layer_norm.{p}'),
        ('pixel_decoder.encoder.{i}.ffn.linear1.{p}', DECODER + 'encoder.layers.{i}.fc1.{p}'),
        ('pixel_decoder.encoder.{i}.ffn.linear2.{p}', DECODER + 'encoder.layers.{i}.fc2.{p}'),
        ('pixel_decoder.encoder.{i}.ffn.norm.{p}', DECODER + 'encoder.layers.{i}.final_layer_norm.{p}'),
        ('pixel_decoder.lateral_convs.0.{layer}.{p}', DECODER + 'adapter_1.{layer}.{p}'),
        ('pixel_decoder.output_convs.0.{layer}.{p}', DECODER + 'layer_1.{layer}.{p}'),
        ('pixel_decoder.mask_proj.{p}', DECODER + 'mask_projection.{p}'),
        (
            [f'head.layers.{{i}}.cross_attn.{x}_proj.{{p}}' for x in 'qkv'],
            TRANSFORMER + 'decoder.layers.{i}.cross_attn.in_proj_{p}',
        ),
        ('head.layers.{i}.cross_attn.out_proj.{p}', TRANSFORMER + 'decoder.layers.{i}.cross_attn.out_proj.{p}'),
        ('head.layers.{i}.self_attn.{rest*}', TRANSFORMER + 'decoder.layers.{i}.self_attn.{rest*}'),
        ('head.layers.{i}.cross_norm.{p}', TRANSFORMER + 'decoder.layers.{i}.cross_attn_layer_norm.{p}'),
        ('head.layers.{i}.self_norm.{p}', TRANSFORMER + 'decoder.layers.{i}.self_attn_layer_norm.{p}'),
        ('head.layers.{i}.ffn.linear1.{p}', TRANSFORMER + 'decoder.layers.{i}.fc1.{p}'),
        ('head.layers.{i}.ffn.linear2.{p}', TRANSFORMER + 'decoder.layers.{i}.fc2.{p}'),
        ('head.layers.{i}.ffn.norm.{p}', TRANSFORMER + 'decoder.layers.{i}.final_layer_norm.{p}'),
        ('head.norm.{p}', TRANSFORMER + 'decoder.layernorm.{p}'),
        ('head.query_embed.weight', TRANSFORMER + 'queries_embedder.weight'),
        ('head.query_feat.weight', TRANSFORMER + 'queries_features.weight'),
        ('head.level_embed.weight', TRANSFORMER + 'level_embed.weight'),
        ('head.class_embed.{p}', 'class_predictor.{p}'),
        *(
            (f'head.mask_embed.{2 * i}.{{p}}', TRANSFORMER + f'decoder.mask_predictor.mask_embedder.{i}.0.{{p}}')
            for i in range(3)
        ),
    ],
    IGNORED,
    OURS_IGNORED,
)
