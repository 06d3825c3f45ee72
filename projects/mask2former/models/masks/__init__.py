"""Masks that are formed strip by strip: from a query's embedding and the mask features to the original image."""

from .lazy import Geometry, LazyMasks
from .mean import MeanMasks
from .protocol import Masks

__all__ = ['Geometry', 'LazyMasks', 'Masks', 'MeanMasks']
