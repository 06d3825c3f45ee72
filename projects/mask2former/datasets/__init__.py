"""Data sets, their metainfo and the transforms; importing this registers them all."""

from . import transforms  # noqa: F401
from .coco_instance import CocoInstance, CocoInstanceFormat
from .coco_panoptic import CocoPanoptic, CocoPanopticFormat
from .errors import DataError
from .metainfo import dataset_metainfo, make_palette

__all__ = [
    'CocoInstance', 'CocoInstanceFormat', 'CocoPanoptic', 'CocoPanopticFormat', 'DataError', 'dataset_metainfo',
    'make_palette'
]
