"""Data sets, their metainfo and the transforms; importing this registers them all."""

from mask2former.formats.palette import make_palette

from . import transforms  # noqa: F401
from .ade20k import ADE20KFull, ADE20KInstance, ADE20KPanoptic, ADE20KSemantic
from .cityscapes import CityscapesPanoptic, CityscapesSemantic
from .coco_instance import CocoInstance, CocoInstanceFormat
from .coco_panoptic import CocoPanoptic, CocoPanopticFormat
from .coco_stuff import CocoStuff10k
from .lvis import LVISInstance
from .mapillary import MapillaryPanoptic, MapillarySemantic
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
    'make_palette',
]
