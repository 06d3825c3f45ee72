"""Transforms: read images and segments, pack them; between the two stand mmcv's and mmdet's transforms."""

from .clip import LoadFrames, LoadTrackSegments, TransformClip
from .clip_sampling import ImageAsVideo, SampleFrames
from .color_augmentation import SSDColorAugmentation
from .image import LoadImage
from .instance_segments import LoadInstanceGroundTruth, LoadInstanceSegments
from .large_scale_jitter import LargeScaleJitter
from .pack import PackSegInputs
from .pack_clip import PackClipInputs
from .pad import Pad
from .panoptic_segments import LoadPanopticGroundTruth, LoadPanopticSegments
from .rasterize_instances import RasterizeInstances
from .resize import Resize
from .semantic_segments import LoadSemanticGroundTruth, LoadSemanticSegments

# What reads annotations: a pipeline that predicts goes without.
ANNOTATION_LOADERS = (
    LoadInstanceGroundTruth,
    LoadInstanceSegments,
    LoadPanopticGroundTruth,
    LoadPanopticSegments,
    LoadSemanticGroundTruth,
    LoadSemanticSegments,
    LoadTrackSegments,
)

__all__ = [
    'ANNOTATION_LOADERS',
    'ImageAsVideo',
    'LargeScaleJitter',
    'LoadFrames',
    'LoadImage',
    'LoadInstanceGroundTruth',
    'LoadInstanceSegments',
    'LoadPanopticGroundTruth',
    'LoadPanopticSegments',
    'LoadSemanticGroundTruth',
    'LoadSemanticSegments',
    'LoadTrackSegments',
    'PackClipInputs',
    'PackSegInputs',
    'Pad',
    'RasterizeInstances',
    'Resize',
    'SSDColorAugmentation',
    'SampleFrames',
    'TransformClip',
]
