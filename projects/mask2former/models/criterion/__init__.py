"""The criterion: match queries to segments, sample points, compute the losses."""

from .criterion import PointSampledCriterion
from .matcher import HungarianMatcher

__all__ = ['HungarianMatcher', 'PointSampledCriterion']
