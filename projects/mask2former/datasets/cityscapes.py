"""Cityscapes (fine annotations): 19 classes, 8 of them things."""

from mask2former.registry import DATASETS

from .coco_panoptic import CocoPanopticFormat
from .metainfo import known_metainfo
from .semantic_png import SemanticPngFormat

_METAINFO = known_metainfo('cityscapes_panoptic')


@DATASETS.register_module()
class CityscapesPanoptic(CocoPanopticFormat):
    """Cityscapes as cityscapesscripts' ``createPanopticImgs.py`` writes it.

    Its instance task is the same data with the 8 things as ``metainfo['classes']``.
    The file's ``images`` name ``{id}_gtFine_leftImg8bit.png``; the image is ``{city}/{id}_leftImg8bit.png``.
    """

    METAINFO = _METAINFO
    name_key = 'id'

    def image_file(self, image: dict) -> str:
        return f'{image["id"].split("_")[0]}/{image["id"]}_leftImg8bit.png'


@DATASETS.register_module()
class CityscapesSemantic(SemanticPngFormat):
    """Cityscapes' semantic task, from the official ``labelIds`` PNG files: no ``labelTrainIds`` need be made."""

    METAINFO = _METAINFO
