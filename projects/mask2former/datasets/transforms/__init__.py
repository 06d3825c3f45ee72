"""Transforms: read images and segments, pack them; between the two stand mmcv's and mmdet's transforms."""

from .color_augmentation import SSDColorAugmentation
from .image import LoadImage
from .instance_segments import LoadInstanceGroundTruth, LoadInstanceSegments
from .large_scale_jitter import LargeScaleJitter
from .pack import PackSegInputs
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
)

__all__ = [
    'ANNOTATION_LOADERS',
    'LargeScaleJitter',
    'LoadImage',
    'LoadInstanceGroundTruth',
    'LoadInstanceSegments',
    'LoadPanopticGroundTruth',
    'LoadPanopticSegments',
    'LoadSemanticGroundTruth',
    'LoadSemanticSegments',
    'PackSegInputs',
    'RasterizeInstances',
    'Resize',
    'SSDColorAugmentation',
]
