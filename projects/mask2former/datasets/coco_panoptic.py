"""Panoptic data sets in COCO's format: a JSON file, and a PNG for each image whose colours are segment ids."""

from mmengine.fileio import join_path

from mask2former.errors import DataError
from mask2former.registry import DATASETS

from .coco_json import CocoJson
from .metainfo import known_metainfo


@DATASETS.register_module()
class CocoPanopticFormat(CocoJson):
    """A panoptic data set of any classes; they come from the file's ``categories``, which need ``isthing``.

    ``data_prefix`` has ``img``, the folder of the images, and ``seg``, the folder of the PNG files. For the arguments
    see :class:`~mask2former.datasets.coco_json.CocoJson`.

    An item is ``dict(img_path, img_id, height, width, seg_map_path, segments_info, void_ids)``: ``segments_info`` is a
    list of ``dict(id, label, isthing, iscrowd, category_id)``, ``void_ids`` the ids in the PNG whose category
    ``metainfo`` leaves out. An image without annotation has no segment and no ``seg_map_path``.
    """

    form = 'panoptic'
    default_prefix = dict(img='train2017/', seg='annotations/panoptic_train2017/')

    def load_data_list(self) -> list[dict]:
        """Read the items.

        Raises:
            DataError: If an annotation is wrong; the message names the file and the image.
        """
        items, annotations = self._read()
        for annotation in annotations:
            item = self._item_of(annotation, items)
            if 'segments_info' in item:
                raise DataError(
                    f"Image {item['img_id']} in '{self.ann_file}' has two annotations; put all its segments into one."
                )
            if 'segments_info' not in annotation or 'file_name' not in annotation:
                raise DataError(
                    f"The annotation of image {item['img_id']} in '{self.ann_file}' needs 'segments_info' and the "
                    "PNG's 'file_name'; for an instance file (with 'segmentation') use type='CocoInstanceFormat'."
                )
            item['seg_map_path'] = join_path(self.data_prefix['seg'], annotation['file_name'])
            self._add_segments(item, annotation['segments_info'])
        for item in items.values():
            item.setdefault('segments_info', [])
            item.setdefault('void_ids', [])
        return list(items.values())

    def _add_segments(self, item: dict, segments: list[dict]) -> None:
        isthing = self._metainfo['isthing']
        item['segments_info'], item['void_ids'], seen = [], [], {0}  # 0 is void
        for segment in segments:
            if segment.get('id', 0) in seen:
                raise DataError(
                    f"Image {item['img_id']} in '{self.ann_file}' has a segment whose id is "
                    f'{segment.get("id")!r}; ids must be over 0 and differ within an image.'
                )
            seen.add(segment['id'])
            label = self._label(segment.get('category_id'), item['img_id'])
            if label is None:
                item['void_ids'].append(segment['id'])
            elif segment.get('area') != 0:  # the file itself says that such a segment has no pixel
                item['segments_info'].append(
                    dict(
                        id=segment['id'],
                        label=label,
                        isthing=isthing[label],
                        iscrowd=int(segment.get('iscrowd', 0)),
                        category_id=segment['category_id'],
                    )
                )

    def _labels_of(self, item: dict) -> list[int]:
        return [segment['label'] for segment in item['segments_info'] if not segment['iscrowd']]


@DATASETS.register_module()
class CocoPanoptic(CocoPanopticFormat):
    """COCO's panoptic task: 80 things and 53 stuff classes, known without reading the file."""

    METAINFO = known_metainfo('coco_panoptic')
