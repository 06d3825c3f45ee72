"""Backbones: mmdet's are found by name; those here are the ones that it lacks."""

from mask2former.checkpoints import schemes  # noqa: F401  (the addresses that `init_cfg` may name)

from .efficientnet_lite import EfficientNetLite
from .frozen_bn_resnet import FrozenBNResNet
from .plain_vit import PlainViT

__all__ = ['EfficientNetLite', 'FrozenBNResNet', 'PlainViT']
