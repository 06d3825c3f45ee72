"""Backbones: mmdet's are found by name; those here are the ones that it lacks, and the ways to other libraries'."""

from mask2former.checkpoints import schemes  # noqa: F401  (the addresses that `init_cfg` may name)

from .efficientnet_lite import EfficientNetLite
from .frozen_bn_resnet import FrozenBNResNet
from .hf import HFBackbone
from .plain_vit import PlainViT
from .simple_feature_pyramid import SimpleFeaturePyramid
from .timm import TimmBackbone

__all__ = ['EfficientNetLite', 'FrozenBNResNet', 'HFBackbone', 'PlainViT', 'SimpleFeaturePyramid', 'TimmBackbone']
