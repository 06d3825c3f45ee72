"""Backbones: mmdet's are found by name; those here are the ones that it lacks."""

from .efficientnet_lite import EfficientNetLite
from .frozen_bn_resnet import FrozenBNResNet

__all__ = ['EfficientNetLite', 'FrozenBNResNet']
