"""Mask2Former for videos (Cheng et al., arXiv 2112.10764): a clip is an image with a time axis."""

from .clip_criterion import ClipCriterion
from .clip_data_preprocessor import ClipDataPreprocessor
from .clip_head import ClipHead
from .clip_matcher import ClipMatcher
from .track_top_k import TrackTopK
from .video_mask2former import VideoMask2Former

__all__ = ['ClipCriterion', 'ClipDataPreprocessor', 'ClipHead', 'ClipMatcher', 'TrackTopK', 'VideoMask2Former']
