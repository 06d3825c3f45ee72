"""Backbones: mmdet's are found by name; those here are the ones that it lacks."""

from .efficientnet_lite import EfficientNetLite

__all__ = ['EfficientNetLite']
