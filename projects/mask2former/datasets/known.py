"""The well-known data sets: their classes, known without reading a file, and what their files have of their own."""

from functools import cached_property
from pathlib import Path

import numpy as np
from mmengine.fileio import join_path

from mask2former.registry import DATASETS

from .coco import CocoFormat
from .metainfo import KnownMetainfo
from .semantic_png import IGNORED, SemanticPngFormat
from .youtube_vis import YouTubeVISFormat


@DATASETS.register_module()
class CocoPanoptic(CocoFormat):
    """COCO's panoptic task: 80 things and 53 stuff classes."""

    form = 'panoptic'
    METAINFO = KnownMetainfo('coco_panoptic')


@DATASETS.register_module()
class CocoInstance(CocoFormat):
    """COCO's instance task: 80 things."""

    form = 'instance'
    METAINFO = KnownMetainfo('coco_instance')


@DATASETS.register_module()
class CocoStuff10k(SemanticPngFormat):
    """COCO-Stuff-10k: 171 classes, 0 to 170 in the PNG files, where 255 is void."""

    METAINFO = KnownMetainfo('coco_stuff10k')


@DATASETS.register_module()
class LVISInstance(CocoFormat):
    """LVIS v1's instance task: 1203 things, many of them rare, on COCO's images.

    Its file names an image by ``coco_url``; the end, ``train2017/1.jpg``, is its path.
    """

    form = 'instance'
    METAINFO = KnownMetainfo('lvis_instance')
    default_prefix = dict(img='')
    name_key = 'coco_url'

    def image_file(self, image: dict) -> str:
        return '/'.join(image['coco_url'].split('/')[-2:])


@DATASETS.register_module()
class ADE20KPanoptic(CocoFormat):
    """ADE20K's panoptic task: 100 things and 50 stuff classes, ids 0 to 149 as the reference's files have them.

    Where ``data_prefix`` has ``semantic``, the folder of the official class-id PNG files (0 is void, the others are the
    ids plus 1), an item has ``semantic_path``, the file of the image, and ``label_table``, as those of
    :class:`ADE20KSemantic` have.
    """

    form = 'panoptic'
    METAINFO = KnownMetainfo('ade20k_panoptic')
    more_folders = ('semantic',)

    def load_data_list(self) -> list[dict]:
        items = super().load_data_list()
        if 'semantic' in self.data_prefix:
            for item in items:
                if 'seg_map_path' in item:  # not where the image has no annotation
                    stem = Path(item['img_path']).stem
                    item['semantic_path'] = join_path(self.data_prefix['semantic'], f'{stem}.png')
        return items

    def get_data_info(self, idx: int) -> dict:
        """The item, with the ``label_table`` that all items share."""
        item = super().get_data_info(idx)
        if 'semantic' in self.data_prefix:
            item['label_table'] = self._label_table
        return item

    @cached_property
    def _label_table(self) -> np.ndarray:
        """``(151,)`` int32: the label of each value of the PNG files, -1 for void and classes that are left out."""
        label_of = {name: label for label, name in enumerate(self._metainfo['classes'])}
        return np.array([IGNORED, *(label_of.get(name, IGNORED) for name in self.METAINFO['classes'])], dtype=np.int32)


@DATASETS.register_module()
class ADE20KInstance(CocoFormat):
    """ADE20K's instance task: the 100 things."""

    form = 'instance'
    METAINFO = KnownMetainfo('ade20k_instance')


@DATASETS.register_module()
class ADE20KSemantic(SemanticPngFormat):
    """ADE20K's semantic task: 150 classes, 1 to 150 in the official PNG files, where 0 is void (``ignore_index=0``)."""

    METAINFO = KnownMetainfo('ade20k_panoptic', category_ids=range(1, 151))


@DATASETS.register_module()
class ADE20KFull(SemanticPngFormat):
    """ADE20K with all 847 classes, from 16-bit TIFF files of 0 to 846 where 65535 is void (``ignore_index=65535``)."""

    METAINFO = KnownMetainfo('ade20k_full')


@DATASETS.register_module()
class CityscapesPanoptic(CocoFormat):
    """Cityscapes (fine annotations), 19 classes, 8 of them things, as cityscapesscripts' ``createPanopticImgs.py``
    writes it.

    Its instance task is the same data with the 8 things as ``metainfo['classes']``.
    The file's ``images`` name ``{id}_gtFine_leftImg8bit.png``; the image is ``{city}/{id}_leftImg8bit.png``.
    """

    form = 'panoptic'
    METAINFO = KnownMetainfo('cityscapes_panoptic')
    name_key = 'id'

    def image_file(self, image: dict) -> str:
        return f'{image["id"].split("_")[0]}/{image["id"]}_leftImg8bit.png'


@DATASETS.register_module()
class CityscapesSemantic(SemanticPngFormat):
    """Cityscapes' semantic task, from the official ``labelIds`` PNG files: no ``labelTrainIds`` need be made."""

    METAINFO = KnownMetainfo('cityscapes_panoptic')


@DATASETS.register_module()
class MapillaryPanoptic(CocoFormat):
    """Mapillary Vistas v1.2's panoptic task: 37 things and 28 stuff classes, ids 1 to 65."""

    form = 'panoptic'
    METAINFO = KnownMetainfo('mapillary_panoptic')


@DATASETS.register_module()
class MapillarySemantic(SemanticPngFormat):
    """Mapillary Vistas v1.2's semantic task: 0 to 64 in the official PNG files, where 65 is void
    (``ignore_index=65``)."""

    METAINFO = KnownMetainfo('mapillary_panoptic', category_ids=range(65))


@DATASETS.register_module()
class YouTubeVIS2019(YouTubeVISFormat):
    """YouTube-VIS 2019: 40 things."""

    METAINFO = KnownMetainfo('youtube_vis_2019')


@DATASETS.register_module()
class YouTubeVIS2021(YouTubeVISFormat):
    """YouTube-VIS 2021 and 2022: 40 things, other ones than those of 2019."""

    METAINFO = KnownMetainfo('youtube_vis_2021')


@DATASETS.register_module()
class OVIS(YouTubeVISFormat):
    """OVIS: 25 things, many of which hide each other."""

    METAINFO = KnownMetainfo('ovis')
