"""Names and shapes of the weights of the reference's published models, module by module.

How they were found: by reading the constructors of the reference implementation, facebookresearch/Mask2Former (commit
161be51), and of detectron2, at their published configs. Each function below stands for one of its classes and gives
what that class registers, in the terms of its own arguments:

========================  =====================================================================================
function                  class, file
========================  =====================================================================================
`resnet`                  ResNet, BasicStem, BottleneckBlock; detectron2/modeling/backbone/resnet.py, with
                          FrozenBatchNorm2d (detectron2/layers/batch_norm.py), which counts no batches
`swin`                    D2SwinTransformer; mask2former/modeling/backbone/swin.py
`pixel_decoder`           MSDeformAttnPixelDecoder; mask2former/modeling/pixel_decoder/msdeformattn.py
`predictor`               MultiScaleMaskedTransformerDecoder;
                          mask2former/modeling/transformer_decoder/mask2former_transformer_decoder.py
`published`               MaskFormer; mask2former/maskformer_model.py (pixel_mean and pixel_std are not saved), with
                          SetCriterion's empty_weight; mask2former/modeling/criterion.py
========================  =====================================================================================

The table was compared with the state dicts of these very classes, built from the reference's own source files: names
and shapes are the same for all of `BACKBONES`.

MaskFormer's were read in the same way, and not compared: its classes that are in the repository of Mask2Former, too;
but the names inside a layer of its transformer are those of the published description only.

========================  =====================================================================================
function                  class, file
========================  =====================================================================================
`feature_pyramid`         BasePixelDecoder, TransformerEncoderPixelDecoder;
                          mask2former/modeling/pixel_decoder/fpn.py
`standard_predictor`      StandardTransformerDecoder;
                          mask2former/modeling/transformer_decoder/maskformer_transformer_decoder.py
`transformer_layer`       TransformerEncoderLayer, TransformerDecoderLayer; transformer.py beside it
========================  =====================================================================================
"""

RESNETS = {'r50': (3, 4, 6, 3), 'r101': (3, 4, 23, 3)}
# EMBED_DIM, DEPTHS, NUM_HEADS, WINDOW_SIZE of the configs
SWINS = {
    'swin-t': (96, (2, 2, 6, 2), (3, 6, 12, 24), 7),
    'swin-s': (96, (2, 2, 18, 2), (3, 6, 12, 24), 7),
    'swin-b': (128, (2, 2, 18, 2), (4, 8, 16, 32), 12),
    'swin-l': (192, (2, 2, 18, 2), (6, 12, 24, 48), 12),
}
BACKBONES = (*RESNETS, *SWINS)
# NUM_CLASSES of the configs: COCO panoptic and instance, Cityscapes panoptic or semantic and instance, ADE20K panoptic
# or semantic and instance, Mapillary Vistas
CLASSES = (133, 80, 19, 8, 150, 100, 65)
QUERIES = (100, 200)

Shapes = dict[str, tuple[int, ...]]


def linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f'{name}.weight': (outputs, inputs), f'{name}.bias': (outputs,)}


def norm(name: str, channels: int) -> Shapes:
    return {f'{name}.weight': (channels,), f'{name}.bias': (channels,)}


def conv_frozen_bn(name: str, inputs: int, outputs: int, kernel: int) -> Shapes:
    statistics = {f'{name}.norm.{part}': (outputs,) for part in ('running_mean', 'running_var')}
    return {f'{name}.weight': (outputs, inputs, kernel, kernel)} | norm(f'{name}.norm', outputs) | statistics


def resnet(depths: tuple[int, ...]) -> tuple[Shapes, list[int]]:
    shapes = conv_frozen_bn('backbone.stem.conv1', 3, 64, 7)
    inputs, bottleneck, outputs, features = 64, 64, 256, []
    for stage, blocks in enumerate(depths, 2):
        for i in range(blocks):
            block = f'backbone.res{stage}.{i}'
            if inputs != outputs:
                shapes |= conv_frozen_bn(f'{block}.shortcut', inputs, outputs, 1)
            shapes |= conv_frozen_bn(f'{block}.conv1', inputs, bottleneck, 1)
            shapes |= conv_frozen_bn(f'{block}.conv2', bottleneck, bottleneck, 3)
            shapes |= conv_frozen_bn(f'{block}.conv3', bottleneck, outputs, 1)
            inputs = outputs
        features.append(outputs)
        bottleneck, outputs = 2 * bottleneck, 2 * outputs
    return shapes, features


def swin(dim: int, depths: tuple[int, ...], heads: tuple[int, ...], window: int) -> tuple[Shapes, list[int]]:
    shapes: Shapes = {'backbone.patch_embed.proj.weight': (dim, 3, 4, 4), 'backbone.patch_embed.proj.bias': (dim,)}
    shapes |= norm('backbone.patch_embed.norm', dim)
    for s, blocks in enumerate(depths):
        width = dim * 2**s
        for i in range(blocks):
            block = f'backbone.layers.{s}.blocks.{i}'
            shapes |= norm(f'{block}.norm1', width) | norm(f'{block}.norm2', width)
            shapes[f'{block}.attn.relative_position_bias_table'] = ((2 * window - 1) ** 2, heads[s])
            shapes[f'{block}.attn.relative_position_index'] = (window**2, window**2)
            shapes |= linear(f'{block}.attn.qkv', width, 3 * width) | linear(f'{block}.attn.proj', width, width)
            shapes |= linear(f'{block}.mlp.fc1', width, 4 * width) | linear(f'{block}.mlp.fc2', 4 * width, width)
        if s < 3:
            shapes[f'backbone.layers.{s}.downsample.reduction.weight'] = (2 * width, 4 * width)
            shapes |= norm(f'backbone.layers.{s}.downsample.norm', 4 * width)
        shapes |= norm(f'backbone.norm{s}', width)
    return shapes, [dim * 2**s for s in range(4)]


def pixel_decoder(features: list[int]) -> Shapes:
    root = 'sem_seg_head.pixel_decoder'
    shapes: Shapes = {f'{root}.transformer.level_embed': (3, 256)}
    for i, channels in enumerate(features[:0:-1]):  # res5, res4, res3
        shapes |= {f'{root}.input_proj.{i}.0.weight': (256, channels, 1, 1), f'{root}.input_proj.{i}.0.bias': (256,)}
        shapes |= norm(f'{root}.input_proj.{i}.1', 256)
    for i in range(6):
        layer = f'{root}.transformer.encoder.layers.{i}'
        shapes |= linear(f'{layer}.self_attn.sampling_offsets', 256, 8 * 3 * 4 * 2)
        shapes |= linear(f'{layer}.self_attn.attention_weights', 256, 8 * 3 * 4)
        shapes |= linear(f'{layer}.self_attn.value_proj', 256, 256) | linear(f'{layer}.self_attn.output_proj', 256, 256)
        shapes |= linear(f'{layer}.linear1', 256, 1024) | linear(f'{layer}.linear2', 1024, 256)
        shapes |= norm(f'{layer}.norm1', 256) | norm(f'{layer}.norm2', 256)
    shapes |= {f'{root}.mask_features.weight': (256, 256, 1, 1), f'{root}.mask_features.bias': (256,)}
    shapes |= {f'{root}.adapter_1.weight': (256, features[0], 1, 1)} | norm(f'{root}.adapter_1.norm', 256)
    return shapes | {f'{root}.layer_1.weight': (256, 256, 3, 3)} | norm(f'{root}.layer_1.norm', 256)


def predictor(num_queries: int, num_classes: int) -> Shapes:
    root = 'sem_seg_head.predictor'
    shapes: Shapes = {}
    for i in range(9):  # DEC_LAYERS, 10, counts the prediction before the first layer
        for attention in ('self_attention_layers.{}.self_attn', 'cross_attention_layers.{}.multihead_attn'):
            name = f'{root}.transformer_{attention.format(i)}'
            shapes |= {f'{name}.in_proj_weight': (768, 256), f'{name}.in_proj_bias': (768,)}
            shapes |= linear(f'{name}.out_proj', 256, 256) | norm(f'{name.rpartition(".")[0]}.norm', 256)
        name = f'{root}.transformer_ffn_layers.{i}'
        shapes |= linear(f'{name}.linear1', 256, 2048) | linear(f'{name}.linear2', 2048, 256)
        shapes |= norm(f'{name}.norm', 256)
    shapes |= norm(f'{root}.decoder_norm', 256)
    shapes |= {f'{root}.{name}.weight': (num_queries, 256) for name in ('query_feat', 'query_embed')}
    shapes |= {f'{root}.level_embed.weight': (3, 256)} | linear(f'{root}.class_embed', 256, num_classes + 1)
    return shapes | {
        key: shape for i in range(3) for key, shape in linear(f'{root}.mask_embed.layers.{i}', 256, 256).items()
    }


def transformer_layer(name: str, *attentions: str) -> Shapes:
    shapes: Shapes = {}
    for attention in attentions:
        shapes |= {f'{name}.{attention}.in_proj_weight': (768, 256), f'{name}.{attention}.in_proj_bias': (768,)}
        shapes |= linear(f'{name}.{attention}.out_proj', 256, 256)
    shapes |= linear(f'{name}.linear1', 256, 2048) | linear(f'{name}.linear2', 2048, 256)
    for i in range(len(attentions) + 1):
        shapes |= norm(f'{name}.norm{i + 1}', 256)
    return shapes


def feature_pyramid(features: list[int], encoder: bool) -> Shapes:
    root = 'sem_seg_head.pixel_decoder'
    shapes: Shapes = {f'{root}.mask_features.weight': (256, 256, 3, 3), f'{root}.mask_features.bias': (256,)}
    for i, channels in enumerate(features[:-1], 1):  # res2, res3, res4
        shapes |= {f'{root}.adapter_{i}.weight': (256, channels, 1, 1), f'{root}.layer_{i}.weight': (256, 256, 3, 3)}
        shapes |= norm(f'{root}.adapter_{i}.norm', 256) | norm(f'{root}.layer_{i}.norm', 256)
    shapes |= {f'{root}.layer_4.weight': (256, 256 if encoder else features[-1], 3, 3)}
    shapes |= norm(f'{root}.layer_4.norm', 256)
    if encoder:
        shapes |= {f'{root}.input_proj.weight': (256, features[-1], 1, 1), f'{root}.input_proj.bias': (256,)}
        for i in range(6):
            shapes |= transformer_layer(f'{root}.transformer.encoder.layers.{i}', 'self_attn')
    return shapes


def standard_predictor(channels: int, num_classes: int) -> Shapes:
    root = 'sem_seg_head.predictor'
    shapes: Shapes = {f'{root}.query_embed.weight': (100, 256)}
    for i in range(6):
        shapes |= transformer_layer(f'{root}.transformer.decoder.layers.{i}', 'self_attn', 'multihead_attn')
    shapes |= norm(f'{root}.transformer.decoder.norm', 256) | linear(f'{root}.class_embed', 256, num_classes + 1)
    if channels != 256:  # as many as it has itself are not projected
        shapes |= {f'{root}.input_proj.weight': (256, channels, 1, 1), f'{root}.input_proj.bias': (256,)}
    return shapes | {
        key: shape for i in range(3) for key, shape in linear(f'{root}.mask_embed.layers.{i}', 256, 256).items()
    }


def published_maskformer(backbone: str, encoder: bool, num_classes: int) -> Shapes:
    """Names and shapes of a MaskFormer."""
    shapes, features = resnet(RESNETS[backbone]) if backbone in RESNETS else swin(*SWINS[backbone])
    return (
        shapes
        | feature_pyramid(features, encoder)
        | standard_predictor(256 if encoder else features[-1], num_classes)
        | {'criterion.empty_weight': (num_classes + 1,)}
    )


def published(backbone: str, num_queries: int, num_classes: int) -> Shapes:
    """Names and shapes of a published model."""
    shapes, features = resnet(RESNETS[backbone]) if backbone in RESNETS else swin(*SWINS[backbone])
    return (
        shapes
        | pixel_decoder(features)
        | predictor(num_queries, num_classes)
        | {'criterion.empty_weight': (num_classes + 1,)}
    )
