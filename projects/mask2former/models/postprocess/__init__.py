"""Postprocessors: from the last decoder output to panoptic, instance and semantic results."""

from .instance import InstanceTopK
from .lazy_masks import LazyMasks
from .merge import merge, takes_views
from .panoptic import PanopticFusion
from .semantic import SemanticInference
from .view import View

__all__ = ['InstanceTopK', 'LazyMasks', 'PanopticFusion', 'SemanticInference', 'View', 'merge', 'takes_views']
