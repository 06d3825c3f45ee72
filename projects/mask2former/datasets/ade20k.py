"""ADE20K: the 150 classes of the scene parsing challenge, panoptic, instance and semantic, and all 847 semantic."""

from mask2former.registry import DATASETS

from .coco_instance import CocoInstanceFormat
from .coco_panoptic import CocoPanopticFormat
from .metainfo import known_metainfo
from .semantic_png import SemanticPngFormat

_PANOPTIC = known_metainfo('ade20k_panoptic')


@DATASETS.register_module()
class ADE20KPanoptic(CocoPanopticFormat):
    """ADE20K's panoptic task: 100 things and 50 stuff classes, ids 0 to 149 as the reference's files have them."""

    METAINFO = _PANOPTIC


@DATASETS.register_module()
class ADE20KInstance(CocoInstanceFormat):
    """ADE20K's instance task: the 100 things."""

    METAINFO = known_metainfo('ade20k_instance')


@DATASETS.register_module()
class ADE20KSemantic(SemanticPngFormat):
    """ADE20K's semantic task: 150 classes, 1 to 150 in the official PNG files, where 0 is void (``ignore_index=0``)."""

    METAINFO = {**_PANOPTIC, 'category_ids': tuple(range(1, 151))}


@DATASETS.register_module()
class ADE20KFull(SemanticPngFormat):
    """ADE20K with all 847 classes, from 16-bit TIFF files of 0 to 846 where 65535 is void (``ignore_index=65535``)."""

    METAINFO = known_metainfo('ade20k_full')
