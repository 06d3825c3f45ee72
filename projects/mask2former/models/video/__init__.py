"""Mask2Former for videos (Cheng et al., arXiv 2112.10764): a clip is an image with a time axis."""

from .clip_criterion import ClipCriterion
from .clip_data_preprocessor import ClipDataPreprocessor
from .clip_head import ClipHead
from .clip_matcher import ClipMatcher
from .clip_panoptic_fusion import ClipPanopticFusion
from .clip_semantic_inference import ClipSemanticInference
from .frame_results import TASKS, FrameResult, FrameResults
from .query_tracker import Clip, QueryTracker
from .track_frames import PreparedFrame, track_frames
from .track_top_k import TrackTopK
from .video_mask2former import VideoMask2Former, is_of_images

__all__ = [
    'TASKS',
    'Clip',
    'ClipCriterion',
    'ClipDataPreprocessor',
    'ClipHead',
    'ClipMatcher',
    'ClipPanopticFusion',
    'ClipSemanticInference',
    'FrameResult',
    'FrameResults',
    'PreparedFrame',
    'QueryTracker',
    'TrackTopK',
    'VideoMask2Former',
    'is_of_images',
    'track_frames',
]
