"""LVIS v1: 1203 things, many of them rare, on COCO's images."""

from mask2former.registry import DATASETS

from .coco_instance import CocoInstanceFormat
from .metainfo import known_metainfo


@DATASETS.register_module()
class LVISInstance(CocoInstanceFormat):
    """LVIS v1's instance task. Its file names an image by ``coco_url``; the end, ``train2017/1.jpg``, is its path."""

    METAINFO = known_metainfo('lvis_instance')
    default_prefix = dict(img='')
    name_key = 'coco_url'

    def image_file(self, image: dict) -> str:
        return '/'.join(image['coco_url'].split('/')[-2:])
