"""COCO-Stuff-10k: 171 classes."""

from mask2former.registry import DATASETS

from .metainfo import known_metainfo
from .semantic_png import SemanticPngFormat


@DATASETS.register_module()
class CocoStuff10k(SemanticPngFormat):
    """COCO-Stuff-10k, from PNG files of 0 to 170 where 255 is void."""

    METAINFO = known_metainfo('coco_stuff10k')
