"""Peers: Mask2Former as mmdet and transformers have it, built to take the weights of one of our models."""

from pathlib import Path
from typing import Any

import mmdet
import torch
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mask2former.checkpoints.keys_mmdet import MMDET
from mask2former.checkpoints.keys_transformers import TRANSFORMERS
from mask2former.errors import ConfigError
from mask2former.registry import MODELS

PEERS = ('mmdet', 'transformers')
MMDET_CONFIGS = Path(mmdet.__file__).parent / '.mim/configs/mask2former'
BOTTLENECKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def peer_weights(name: str, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of one of our models under a peer's names."""
    if name == 'mmdet':
        return MMDET.to_theirs(state_dict)
    return TRANSFORMERS.to_theirs({k: v for k, v in state_dict.items() if 'relative_position_index' not in k})


def load_weights(name: str, peer: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load what :func:`peer_weights` gave; every weight that the peer uses is set."""
    if name == 'mmdet':
        peer.load_state_dict(weights, strict=True)
        return
    missing, unexpected = peer.load_state_dict(weights, strict=False)
    missing = [key for key in missing if key != 'criterion.empty_weight' and 'swin.layernorm' not in key]
    if missing or unexpected:
        raise ConfigError(f"transformers' model lacks weights {missing} and does not know {unexpected}.")


def build_peer(name: str, cfg: Config, isthing: list[bool], num_queries: int) -> nn.Module:
    """A peer of the architecture of our model config, in evaluation mode.

    Args:
        name: One of :data:`PEERS`.
        cfg: ``model`` of our config.
        isthing: Of every class, whether it is a thing.
        num_queries: Q.

    Raises:
        ConfigError: If there is no such peer, or it has no such backbone.
    """
    if name not in PEERS:
        raise ConfigError(f"There is no peer '{name}' to compare with: use {' or '.join(PEERS)}.")
    if cfg.backbone.type not in ('FrozenBNResNet', 'SwinTransformer'):
        raise ConfigError(f"The peers have no backbone '{cfg.backbone.type}': compare a config with a ResNet or Swin.")
    build = _build_mmdet if name == 'mmdet' else _build_transformers
    return build(cfg, isthing, num_queries).eval()


def _build_mmdet(cfg: Config, isthing: list[bool], num_queries: int) -> nn.Module:
    register_all_modules(init_default_scope=False)
    model = Config.fromfile(MMDET_CONFIGS / 'mask2former_r50_8xb2-lsj-50e_coco-panoptic.py').model
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
        return MODELS.build(dict(model, type='mmdet.Mask2Former'))


def _build_transformers(cfg: Config, isthing: list[bool], num_queries: int) -> nn.Module:
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, ResNetConfig, SwinConfig

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
