"""Instance data sets in COCO's format: one JSON file with polygons or run-length codes."""

from mask2former.errors import DataError
from mask2former.registry import DATASETS

from .coco_json import CocoJson
from .metainfo import known_metainfo


@DATASETS.register_module()
class CocoInstanceFormat(CocoJson):
    """An instance data set of any classes; they come from the file's ``categories``, and all are things.

    ``data_prefix`` has ``img``, the folder of the images. For the arguments see
    :class:`~mask2former.datasets.coco_json.CocoJson`.

    An item is ``dict(img_path, img_id, height, width, instances)``: ``instances`` is a list of
    ``dict(segmentation, label, iscrowd, bbox, category_id)``, with the segmentation as the file writes it (polygons,
    uncompressed or compressed RLE) and ``bbox`` as xywh in pixels, None where the file has none.
    """

    form = 'instance'
    default_isthing = True
    default_prefix = dict(img='train2017/')

    def load_data_list(self) -> list[dict]:
        """Read the items.

        Raises:
            DataError: If an annotation is wrong; the message names the file and the image.
        """
        items, annotations = self._read()
        for item in items.values():
            item['instances'] = []
        for annotation in annotations:
            item = self._item_of(annotation, items)
            if 'segments_info' in annotation:
                raise DataError(
                    f"'{self.ann_file}' is a panoptic file (it has 'segments_info'); use type='CocoPanopticFormat'."
                )
            label = self._label(annotation.get('category_id'), item['img_id'])
            if label is None:
                continue
            if not annotation.get('segmentation'):
                raise DataError(
                    f"Annotation {annotation.get('id')} of image {item['img_id']} in '{self.ann_file}' has "
                    "no 'segmentation'; add its polygons or RLE (a box is not enough), or remove it."
                )
            item['instances'].append(
                dict(
                    segmentation=annotation['segmentation'],
                    label=label,
                    iscrowd=int(annotation.get('iscrowd', 0)),
                    bbox=annotation.get('bbox'),
                    category_id=annotation['category_id'],
                )
            )
        return list(items.values())

    def _labels_of(self, item: dict) -> list[int]:
        return [instance['label'] for instance in item['instances'] if not instance['iscrowd']]


@DATASETS.register_module()
class CocoInstance(CocoInstanceFormat):
    """COCO's instance task: 80 things, known without reading the file."""

    METAINFO = known_metainfo('coco_instance')
