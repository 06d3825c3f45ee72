"""The criterion: match queries to segments, sample points, compute the losses."""

from .dense import DenseCriterion
from .matcher import HungarianMatcher
from .per_pixel import PerPixelCriterion
from .point_sampled import PointSampledCriterion

__all__ = ['DenseCriterion', 'HungarianMatcher', 'PerPixelCriterion', 'PointSampledCriterion']
