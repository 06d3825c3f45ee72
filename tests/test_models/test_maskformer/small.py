"""A small MaskFormer, and those of transformers and mmdet, which take its weights."""

from pathlib import Path

import mmdet
import torch
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import DefaultScope

from benchmarks import synthetic
from benchmarks.synthetic import randomise
from mask2former.registry import MODELS

CLASSES, ISTHING = ('cat', 'dog', 'car', 'sky', 'grass'), (True, True, True, False, False)
BACKBONES = ('resnet', 'swin')
MMDET_CONFIG = Path(mmdet.__file__).parent / '.mim/configs/maskformer/maskformer_r50_ms-16xb1-75e_coco.py'
RESNET = dict(depth=18, stem_channels=8, base_channels=8, norm_eval=True, style='pytorch')
SWIN = dict(embed_dims=8, depths=(1, 2, 1, 1), num_heads=(1, 2, 4, 8), window_size=7, drop_path_rate=0.0)
D, Q, C, FFN = 3, 7, 32, 24
# without padding, which mmdet's model masks and the original does not
SHAPE = (89, 127)


def small_config(backbone: str, encoder: bool = False, dropout: float = 0.0) -> dict:
    """Config of our model."""
    backbones = dict(resnet=dict(type='mmdet.ResNet', **RESNET), swin=dict(type='mmdet.SwinTransformer', **SWIN))
    pixel_decoder = dict(type='FPNPixelDecoder', embed_dims=C, mask_dims=C, memory='top')
    if encoder:
        pixel_decoder.update(type='TransformerFPNPixelDecoder', num_layers=2, ffn_dims=16, dropout=dropout)
    costs = dict(class_cost=1.0, mask_cost=20.0, dice_cost=1.0)
    return dict(
        type='Mask2Former',
        backbone=backbones[backbone],
        pixel_decoder=pixel_decoder,
        head=dict(
            type='MaskedAttentionHead',
            num_queries=Q,
            num_layers=D,
            ffn_dims=FFN,
            masked_attention=False,
            learned_queries=False,
            cross_first=False,
            level_embed=False,
            dropout=dropout,
        ),
        criterion=dict(
            type='DenseCriterion',
            focal=True,
            class_weight=1.0,
            mask_weight=20.0,
            dice_weight=1.0,
            matcher=dict(type='HungarianMatcher', **costs),
        ),
        postprocessors=dict(
            panoptic=dict(type='PanopticFusion', score_thr=0.3, overlap_thr=0.5, inside_mask=False),
            semantic=dict(type='SemanticInference'),
        ),
        metainfo=dict(classes=CLASSES, isthing=ISTHING),
    )


def per_pixel_config(plus: bool) -> dict:
    """Config of the per-pixel baseline, or of the baseline+."""
    config = small_config('resnet')
    if plus:
        config['head'].update(num_queries=None)
    else:
        config['pixel_decoder'].update(memory='pyramid')
        config['head'] = dict(type='PerPixelHead')
    config['criterion'] = dict(type='PerPixelCriterion')
    config['postprocessors'] = dict(semantic=dict(type='PerPixelInference'))
    return config


def build_small(backbone: str, encoder: bool = False) -> torch.nn.Module:
    """Our model with random weights and batch norm statistics, in evaluation mode."""
    torch.manual_seed(0)
    model = MODELS.build(small_config(backbone, encoder))
    randomise(model)
    return model.eval()


def build_transformers(backbone: str) -> torch.nn.Module:
    """transformers' model with its own random weights."""
    from transformers import DetrConfig, MaskFormerConfig, MaskFormerForInstanceSegmentation, ResNetConfig, SwinConfig

    features = [f'stage{i}' for i in range(1, 5)]
    if backbone == 'resnet':
        of_backbone = ResNetConfig(
            embedding_size=8,
            hidden_sizes=[8, 16, 32, 64],
            depths=[2, 2, 2, 2],
            layer_type='basic',
            out_features=features,
        )
    else:
        of_backbone = SwinConfig(
            embed_dim=8, depths=SWIN['depths'], num_heads=SWIN['num_heads'], drop_path_rate=0.0, out_features=features
        )
    decoder = DetrConfig(
        d_model=C,
        decoder_layers=D,
        decoder_attention_heads=8,
        decoder_ffn_dim=FFN,
        num_queries=Q,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
    )
    config = MaskFormerConfig(
        fpn_feature_size=C,
        mask_feature_size=C,
        backbone_config=of_backbone,
        decoder_config=decoder,
        use_auxiliary_loss=False,
        id2label=dict(enumerate(CLASSES)),
    )
    torch.manual_seed(2)
    model = MaskFormerForInstanceSegmentation(config)
    empty_weight = model.criterion.empty_weight.clone()
    randomise(model, 2)
    model.criterion.empty_weight.copy_(empty_weight)
    return model.eval()


def build_mmdet(backbone: str, encoder: bool) -> torch.nn.Module:
    """mmdet's model with its own random weights."""
    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(MMDET_CONFIG).model
    cfg.backbone = dict(resnet=dict(type='ResNet', **RESNET), swin=dict(type='SwinTransformer', **SWIN))[backbone]
    head = cfg.panoptic_head
    head.update(
        in_channels=[8, 16, 32, 64],
        feat_channels=C,
        out_channels=C,
        num_things_classes=3,
        num_stuff_classes=2,
        num_queries=Q,
        enforce_decoder_input_project=True,
    )
    head.positional_encoding.num_feats = C // 2
    head.loss_cls.class_weight = [1.0] * 5 + [0.1]
    cfg.panoptic_fusion_head.update(num_things_classes=3, num_stuff_classes=2)
    layers = [(head.transformer_decoder, D, FFN)]
    if encoder:
        head.pixel_decoder.positional_encoding.num_feats = C // 2
        layers.append((head.pixel_decoder.encoder, 2, 16))
    else:
        head.pixel_decoder = dict(
            type='PixelDecoder', norm_cfg=dict(type='GN', num_groups=32), act_cfg=dict(type='ReLU')
        )
    for part, num_layers, width in layers:
        part.num_layers = num_layers
        for kind in {'self_attn_cfg', 'cross_attn_cfg'} & set(part.layer_cfg):
            part.layer_cfg[kind].update(embed_dims=C, dropout=0.0)
        part.layer_cfg.ffn_cfg.update(embed_dims=C, feedforward_channels=width, ffn_drop=0.0)
    torch.manual_seed(1)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(dict(cfg, type='mmdet.MaskFormer'))
    randomise(model, 1)
    return model.eval()


def make_batch(counts: list[int], dtype: torch.dtype = torch.float64):
    """Images (B, 3, H, W) without padding and targets with so many segments each."""
    return synthetic.make_batch(counts, SHAPE, SHAPE, (2 * SHAPE[0] - 7, 2 * SHAPE[1] + 5), len(CLASSES), dtype=dtype)
