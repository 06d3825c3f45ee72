"""Data sets, their metainfo and the transforms; importing this registers them all."""

from . import transforms  # noqa: F401
from .coco import CocoInstanceFormat, CocoPanopticFormat
from .known import (
    ADE20KFull,
    ADE20KInstance,
    ADE20KPanoptic,
    ADE20KSemantic,
    CityscapesPanoptic,
    CityscapesSemantic,
    CocoInstance,
    CocoPanoptic,
    CocoStuff10k,
    LVISInstance,
    MapillaryPanoptic,
    MapillarySemantic,
)
from .metainfo import config_metainfo, dataset_metainfo
from .semantic_png import SemanticPngFormat

__all__ = [
    'ADE20KFull',
    'ADE20KInstance',
    'ADE20KPanoptic',
    'ADE20KSemantic',
    'CityscapesPanoptic',
    'CityscapesSemantic',
    'CocoInstance',
    'CocoInstanceFormat',
    'CocoPanoptic',
    'CocoPanopticFormat',
    'CocoStuff10k',
    'LVISInstance',
    'MapillaryPanoptic',
    'MapillarySemantic',
    'SemanticPngFormat',
    'config_metainfo',
    'dataset_metainfo',
]
