"""Mapillary Vistas v1.2: 65 classes, 37 of them things."""

from mask2former.registry import DATASETS

from .coco_panoptic import CocoPanopticFormat
from .metainfo import known_metainfo
from .semantic_png import SemanticPngFormat

_METAINFO = known_metainfo('mapillary_panoptic')


@DATASETS.register_module()
class MapillaryPanoptic(CocoPanopticFormat):
    """Mapillary Vistas' panoptic task, ids 1 to 65."""

    METAINFO = _METAINFO


@DATASETS.register_module()
class MapillarySemantic(SemanticPngFormat):
    """Mapillary Vistas' semantic task: 0 to 64 in the official PNG files, where 65 is void (``ignore_index=65``)."""

    METAINFO = {**_METAINFO, 'category_ids': tuple(range(65))}
