"""Postprocessors: from the last decoder output to panoptic, instance and semantic results."""

from .instance import InstanceTopK
from .lazy_masks import LazyMasks
from .panoptic import PanopticFusion
from .semantic import SemanticInference

__all__ = ['InstanceTopK', 'LazyMasks', 'PanopticFusion', 'SemanticInference']
