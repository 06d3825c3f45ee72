"""Data sets, their metainfo and the transforms; importing this registers them all."""

from . import transforms  # noqa: F401
from .coco import CocoInstanceFormat, CocoPanopticFormat
from .known import (
    OVIS,
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
    YouTubeVIS2019,
    YouTubeVIS2021,
)
from .metainfo import config_metainfo, dataset_metainfo
from .semantic_png import SemanticPngFormat
from .youtube_vis import YouTubeVISFormat

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
    'OVIS',
    'SemanticPngFormat',
    'YouTubeVIS2019',
    'YouTubeVIS2021',
    'YouTubeVISFormat',
    'config_metainfo',
    'dataset_metainfo',
]
