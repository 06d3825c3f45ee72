"""Peers: our models as mmdet and transformers have them, built to take the weights of ours."""

import re
from pathlib import Path
from typing import Any

import mmdet
import torch
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mask2former.checkpoints.convert import FORMATS
from mask2former.checkpoints.key_map import rename
from mask2former.checkpoints.members import member_of
from mask2former.errors import ConfigError
from mask2former.models.backbones.frozen_bn_resnet import DEPTHS
from mask2former.registry import MODELS

from .clips import build_mmdet_video, is_video
from .eomt_peer import build_eomt

PEERS = ('mmdet', 'transformers')
MMDET_CONFIGS = Path(mmdet.__file__).parent / '.mim/configs/mask2former'
MMDET_MASKFORMER = MMDET_CONFIGS.parent / 'maskformer/maskformer_r50_ms-16xb1-75e_coco.py'
# Names that transformers' MaskFormer has in memory, where those on disk are older.
IN_MEMORY = [
    (r'(transformer_module\.decoder\.layers\.\d+\.\w+_attn\.)out_proj\.', r'\1o_proj.'),
    (r'(transformer_module\.decoder\.layers\.\d+\.)(fc\d)\.', r'\1mlp.\2.'),
]
BOTTLENECKS = {depth: blocks for depth, (blocks, bottleneck) in DEPTHS.items() if bottleneck}


def peer_weights(name: str, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of one of our models under a peer's names."""
    member = member_of(state_dict)
    if member not in FORMATS[name].keys:
        raise ConfigError(f"{name} has no '{member}' to compare with.")
    weights, _, unknown = FORMATS[name].table(member, state_dict).write(state_dict)
    if unknown:
        raise ConfigError(f"{name} has no place for the weight '{unknown[0]}'.")
    if name == 'transformers' and member == 'maskformer':
        weights = rename(rename(weights, FORMATS[name].writes[True]), IN_MEMORY)
    return weights


def load_weights(name: str, peer: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load what :func:`peer_weights` gave; every weight that the peer uses is set."""
    if name == 'mmdet':
        peer.load_state_dict(weights, strict=True)
        return
    missing, unexpected = peer.load_state_dict(weights, strict=False)
    unused = re.compile(r'criterion\.empty_weight|.*encoder\.(swin|model)\.layernorm\..*')
    missing = [key for key in missing if not unused.fullmatch(key)]
    if missing or unexpected:
        raise ConfigError(f"transformers' model lacks weights {missing} and does not know {unexpected}.")


def build_peer(
    name: str, cfg: Config, isthing: list[bool], num_queries: int, size: tuple[int, int] = (640, 640)
) -> nn.Module:
    """A peer of the architecture of our model config, in evaluation mode.

    Args:
        name: One of :data:`PEERS`.
        cfg: ``model`` of our config.
        isthing: Of every class, whether it is a thing.
        num_queries: Q.
        size: Height and width of the images, which an EoMT is built for.

    Raises:
        ConfigError: If there is no such peer, or it has no such backbone.
    """
    if name not in PEERS:
        raise ConfigError(f"There is no peer '{name}' to compare with: use {' or '.join(PEERS)}.")
    if is_video(cfg):
        if name != 'mmdet':
            raise ConfigError(f'{name} has no model of videos: compare with mmdet.')
        return build_mmdet_video(cfg, len(isthing), num_queries).eval()
    if cfg.backbone.type == 'PlainViT' and name == 'transformers':
        return build_eomt(cfg, len(isthing), num_queries, size).eval()
    if cfg.backbone.type not in ('FrozenBNResNet', 'SwinTransformer'):
        raise ConfigError(f"The peers have no backbone '{cfg.backbone.type}': compare a config with a ResNet or Swin.")
    build = _build_mmdet if name == 'mmdet' else _build_transformers
    return build(cfg, isthing, num_queries).eval()


def is_maskformer(cfg: Config) -> bool:
    """Whether a model config is that of a MaskFormer."""
    return not cfg.head.get('learned_queries', True)


def _build_mmdet(cfg: Config, isthing: list[bool], num_queries: int) -> nn.Module:
    register_all_modules(init_default_scope=False)
    mask2former = MMDET_CONFIGS / 'mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'
    model = Config.fromfile(MMDET_MASKFORMER if is_maskformer(cfg) else mask2former).model
    if is_maskformer(cfg) and cfg.pixel_decoder.type == 'FPNPixelDecoder':
        norm, act = dict(type='GN', num_groups=32), dict(type='ReLU')
        model.panoptic_head.pixel_decoder = dict(type='PixelDecoder', norm_cfg=norm, act_cfg=act)
    if cfg.backbone.type == 'FrozenBNResNet':
        model.backbone.depth = cfg.backbone.depth
        model.backbone.init_cfg = None
    else:
        model.backbone = dict(cfg.backbone, init_cfg=None, type='mmdet.SwinTransformer')
        model.panoptic_head.in_channels = [cfg.backbone.embed_dims * 2**i for i in range(4)]
    things, stuff = sum(isthing), len(isthing) - sum(isthing)
    model.panoptic_head.update(num_things_classes=things, num_stuff_classes=stuff, num_queries=num_queries)
    model.panoptic_head.loss_cls.class_weight = [1.0] * len(isthing) + [0.1]
    model.panoptic_fusion_head.update(num_things_classes=things, num_stuff_classes=stuff)
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(dict(model, type='mmdet.MaskFormer' if is_maskformer(cfg) else 'mmdet.Mask2Former'))


def _build_transformers(cfg: Config, isthing: list[bool], num_queries: int) -> nn.Module:
    from transformers import (
        DetrConfig,
        Mask2FormerConfig,
        Mask2FormerForUniversalSegmentation,
        MaskFormerConfig,
        MaskFormerForInstanceSegmentation,
        ResNetConfig,
        SwinConfig,
    )

    backbone: Any
    features = [f'stage{i}' for i in range(1, 5)]
    if cfg.backbone.type == 'FrozenBNResNet':
        backbone = ResNetConfig(depths=BOTTLENECKS[cfg.backbone.depth], out_features=features)  # type: ignore[call-arg]
    else:
        backbone = SwinConfig(  # type: ignore[call-arg]
            embed_dim=cfg.backbone.embed_dims,
            depths=cfg.backbone.depths,
            num_heads=cfg.backbone.num_heads,
            window_size=cfg.backbone.window_size,
            drop_path_rate=cfg.backbone.get('drop_path_rate', 0.0),
            out_features=features,
        )
    if is_maskformer(cfg):
        if cfg.pixel_decoder.type != 'FPNPixelDecoder':
            raise ConfigError('transformers has no MaskFormer with an encoder: compare with mmdet.')
        decoder = DetrConfig(decoder_layers=6, decoder_ffn_dim=2048, num_queries=num_queries)  # type: ignore[call-arg]
        # With deep supervision, as it was published.
        return MaskFormerForInstanceSegmentation(
            MaskFormerConfig(  # type: ignore[call-arg]
                backbone_config=backbone,
                decoder_config=decoder,
                num_labels=len(isthing),
                use_auxiliary_loss=True,
                output_auxiliary_logits=True,
            )
        )
    return Mask2FormerForUniversalSegmentation(
        Mask2FormerConfig(  # type: ignore[call-arg]
            backbone_config=backbone, num_labels=len(isthing), num_queries=num_queries
        )
    )


def freeze_norms(model: nn.Module) -> None:
    """Use a model's batch norms as they are: as ours does and mmdet's config asks for."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval().requires_grad_(False)
