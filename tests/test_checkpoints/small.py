"""Small models of the real layouts, ours and those of other people, and state dicts of any size at no cost."""

import torch
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import DefaultScope

from benchmarks.peers import MMDET_CONFIGS
from benchmarks.synthetic import randomise
from mask2former.registry import MODELS

CLASSES = ('cat', 'dog', 'car', 'sky', 'grass')
ISTHING = (True, True, True, False, False)
BACKBONES = ('resnet', 'swin')
_RESNET = dict(depth=18, stem_channels=8, base_channels=8, norm_eval=True, style='pytorch')
_SWIN = dict(embed_dims=8, depths=(1, 2, 1, 1), num_heads=(1, 2, 4, 8), window_size=7, drop_path_rate=0.0)
FEATURES = [8, 16, 32, 64]
# A model zoo of one model with weights and one without.
SWIN_T = 'configs/coco/panoptic/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py'
METAFILE = f"""
Collections:
  - Name: Mask2Former
Models:
  - Name: mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic
    In Collection: Mask2Former
    Alias: [swin-t-panoptic]
    Config: {SWIN_T}
    Metadata:
      License of weights: CC BY-NC 4.0
    Weights: https://example.org/weights/swin-t-12345678.pth
  - Name: untrained
    Config: {SWIN_T}
"""


def small_config(backbone: str, num_classes: int = 5) -> dict:
    """Config of our model; eight heads and four points, as published."""
    classes = CLASSES + tuple(f'class {i}' for i in range(num_classes - 5))
    backbones = dict(resnet=dict(type='mmdet.ResNet', **_RESNET), swin=dict(type='mmdet.SwinTransformer', **_SWIN))
    return dict(
        type='Mask2Former',
        backbone=backbones[backbone],
        pixel_decoder=dict(
            type='MSDeformAttnPixelDecoder',
            embed_dims=32,
            mask_dims=32,
            num_layers=1,
            num_heads=8,
            num_points=4,
            ffn_dims=16,
        ),
        head=dict(type='MaskedAttentionHead', num_queries=7, num_layers=2, num_heads=8, ffn_dims=24),
        criterion=dict(type='PointSampledCriterion', matcher=dict(type='HungarianMatcher'), num_points=64),
        postprocessors=dict(
            panoptic=dict(type='PanopticFusion', score_thr=0.1, overlap_thr=0.1), instance=dict(type='InstanceTopK')
        ),
        metainfo=dict(classes=classes, isthing=ISTHING + (False,) * (num_classes - 5)),
    )


def build_small(backbone: str, num_classes: int = 5, seed: int = 0) -> torch.nn.Module:
    """Our model with random weights and batch norm statistics, in evaluation mode."""
    torch.manual_seed(seed)
    model = MODELS.build(small_config(backbone, num_classes))
    randomise(model, seed)
    return model.eval()


def build_small_mmdet(backbone: str) -> torch.nn.Module:
    """mmdet's own model with its own random weights."""
    register_all_modules(init_default_scope=False)
    name = dict(resnet='r50', swin='swin-t-p4-w7-224')[backbone]
    cfg = Config.fromfile(MMDET_CONFIGS / f'mask2former_{name}_8xb2-lsj-50e_coco-panoptic.py').model
    cfg.backbone = dict(resnet=dict(type='ResNet', **_RESNET), swin=dict(type='SwinTransformer', **_SWIN))[backbone]
    head = cfg.panoptic_head
    head.update(num_things_classes=3, num_stuff_classes=2)
    cfg.panoptic_fusion_head.update(num_things_classes=3, num_stuff_classes=2)
    shrink(head)
    torch.manual_seed(1)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(dict(cfg, type='mmdet.Mask2Former'))
    randomise(model, 1)
    return model.eval()


def shrink(head: Config) -> None:
    """Make a head of mmdet's, of images or of videos, as small as our small model's."""
    head.update(in_channels=FEATURES, feat_channels=32, out_channels=32, num_queries=7)
    head.loss_cls.class_weight = [1.0] * 5 + [0.1]
    encoder, decoder = head.pixel_decoder.encoder, head.transformer_decoder
    encoder.num_layers, decoder.num_layers = 1, 2
    for layers, width in ((encoder.layer_cfg, 16), (decoder.layer_cfg, 24)):
        layers.self_attn_cfg.embed_dims = layers.ffn_cfg.embed_dims = 32
        layers.ffn_cfg.feedforward_channels = width
    decoder.layer_cfg.cross_attn_cfg.embed_dims = 32
    head.pixel_decoder.positional_encoding.num_feats = head.positional_encoding.num_feats = 16


def build_small_transformers(backbone: str) -> torch.nn.Module:
    """transformers' own model with its own random weights."""
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, ResNetConfig, SwinConfig

    features = [f'stage{i}' for i in range(1, 5)]
    if backbone == 'resnet':
        backbone_config = ResNetConfig(
            embedding_size=8, hidden_sizes=FEATURES, depths=[2, 2, 2, 2], layer_type='basic', out_features=features
        )
    else:
        backbone_config = SwinConfig(
            embed_dim=8, depths=[1, 2, 1, 1], num_heads=[1, 2, 4, 8], window_size=7, out_features=features
        )
    config = Mask2FormerConfig(
        backbone_config=backbone_config,
        feature_size=32,
        hidden_dim=32,
        mask_feature_size=32,
        encoder_layers=1,
        encoder_feedforward_dim=16,
        decoder_layers=3,
        dim_feedforward=24,
        num_queries=7,
        no_object_weight=0.25,
        id2label=dict(enumerate(CLASSES)),
    )
    torch.manual_seed(2)
    model = Mask2FormerForUniversalSegmentation(config)
    empty_weight = model.criterion.empty_weight.clone()
    randomise(model, 2)
    model.criterion.empty_weight.copy_(empty_weight)
    return model.eval()


def random_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Tensors of these shapes, all different, which share the memory of one: full-size models in 40 MB."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(10_000_019, generator=generator)
    state, start = {}, 0
    for name, shape in shapes.items():
        size = torch.Size(shape).numel()
        if name.endswith('relative_position_index'):
            state[name] = index(shape[0])
            continue
        start = (start + 999_983) % (len(numbers) - size + 1)
        state[name] = numbers[start : start + size].view(shape)
    return state


def index(tokens: int) -> torch.Tensor:
    """The table of mmdet's Swin, as its own code makes it."""
    from mmdet.models.backbones.swin import WindowMSA

    window = round(tokens**0.5)
    return WindowMSA(1, 1, (window, window)).relative_position_index
