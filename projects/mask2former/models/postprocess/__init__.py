"""Postprocessors: from the last decoder output to panoptic, instance and semantic results.

:mod:`.plain` has their rules as the papers state them, on masks of the full size. The postprocessors give the same
results (their tests compare the two), but see masks a strip at a time, of the queries that can matter: see
:mod:`mask2former.models.masks`.
"""

from .instance import InstanceTopK
from .merge import Postprocessor, View, ViewMerger, merge
from .panoptic import PanopticFusion
from .semantic import PerPixelInference, SemanticInference

__all__ = [
    'InstanceTopK',
    'PanopticFusion',
    'PerPixelInference',
    'Postprocessor',
    'SemanticInference',
    'View',
    'ViewMerger',
    'merge',
]
