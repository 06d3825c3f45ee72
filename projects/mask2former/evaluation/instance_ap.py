"""COCO average precision of instance segmentation."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from pycocotools.coco import COCO

from mask2former.errors import ConfigError
from mask2former.formats.rle import areas_of, as_rle, box_of, encode_mask, encode_segmentation
from mask2former.registry import METRICS

from .coco_average_precision import FAST, average_precision, choose_backend, coco_from, read_coco
from .sample_fields import check_same_size, image_name, plane, require_field, require_meta, require_result
from .tables import class_metrics, log_class_table
from .truth import TrueSegment

AP_KINDS = dict(segm='Mask', bbox='Box', boundary='Boundary')


@METRICS.register_module()
class InstanceAP(BaseMetric):
    """Mask, box and boundary average precision of ``pred_instances`` of each data sample, by COCO's rules.

    The ground truth is ``ann_file``, or where that is None the annotation file of an instance data set
    (:meth:`use_dataset`), or the things of ``gt_panoptic_seg`` (crowd is ignored ground truth, as in COCO). Predictions
    of labels without a category in the file, such as stuff, are dropped. Only the images that were processed are
    evaluated. Masks are kept run-length encoded.

    Args:
        ann_file: COCO instance JSON. Its categories belong to the labels by ``dataset_meta['category_ids']``, or by
            ``dataset_meta['classes']`` where there are no ids.
        metric: Some of ``'segm'``, ``'bbox'`` and ``'boundary'`` (Cheng et al., Boundary IoU, CVPR 2021,
            https://arxiv.org/abs/2103.16562).
        max_dets: Limits of detections an image and category, as pycocotools takes them; the largest one counts. Raise
            it where an image holds more than 100 objects. By default (1, 10, 100), and with ``lvis`` (300,), which is
            then the limit of an image.
        lvis: Whether ``ann_file`` is one of LVIS, and its rules are those of LVIS: a category counts only in the images
            that were searched for it.
        classwise: Whether to print a table of every class, and to give ``segm_mAP/{class}`` as metrics, too.
        backend: ``'faster-coco-eval'``, ``'pycocotools'``, with equal results, or ``'auto'``: the first where it is
            installed.
        collect_device: ``'cpu'`` or ``'gpu'``, where results of several ranks meet.
        prefix: Put before each key with a slash. None gives the plain keys.

    Returns of ``evaluate``: ``segm_mAP, segm_mAP_50, segm_mAP_75, segm_mAP_s, segm_mAP_m, segm_mAP_l`` and the same
    with ``bbox_`` and ``boundary_``, in percent, or -1 where the ground truth has no object of that size. With
    ``lvis`` also ``segm_mAP_r, segm_mAP_c, segm_mAP_f``, of rare, common and frequent categories.
    """

    default_prefix = ''  # plain keys; with None mmengine would warn of it
    predicted = 'pred_instances'

    def __init__(
        self,
        *,
        ann_file: str | None = None,
        metric: str | Sequence[str] = ('segm', 'bbox'),
        max_dets: Sequence[int] | None = None,
        lvis: bool = False,
        classwise: bool = False,
        backend: str = 'auto',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.classwise = classwise
        self.kinds = (metric,) if isinstance(metric, str) else tuple(metric)
        if not self.kinds or not set(self.kinds) <= AP_KINDS.keys():
            raise ConfigError(f"InstanceAP's metric is {metric!r}: give some of 'segm', 'bbox' and 'boundary'.")
        self.backend = choose_backend(backend, self.kinds)
        if max_dets is None:
            max_dets = (300,) if lvis else (1, 10, 100)
        self.max_dets = tuple(sorted(max_dets))
        if not self.max_dets or self.max_dets[0] < 1:
            raise ConfigError(f"InstanceAP's max_dets is {max_dets!r}: give positive integers such as (1, 10, 100).")
        if lvis and self.backend != FAST:
            raise ConfigError(
                f"InstanceAP with lvis=True needs the package '{FAST}' (the backend is '{self.backend}'): install it."
            )
        self.lvis = lvis
        self.ann_file = ann_file
        # Read now, so that a wrong path shows before the training and not after its first epoch.
        self.truth = None if ann_file is None else read_coco(ann_file)

    def use_dataset(self, dataset: Any) -> None:
        """Take the ground truth from the file of an instance data set, unless ``ann_file`` names one.

        Args:
            dataset: The data set that is measured; of any but :class:`~mask2former.datasets.CocoInstanceFormat` the
                samples hold the ground truth.
        """
        if self.ann_file is None and getattr(dataset, 'form', None) == 'instance':
            self.ann_file = dataset.ann_file
            self.truth = read_coco(dataset.ann_file)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep of each image ``dict(image, detections, annotations)`` in COCO's format.

        Raises:
            ConfigError: A sample lacks its prediction or ground truth, or is no image of ``ann_file``, or the sizes
                differ.
        """
        category_of = self._category_of_label()
        for sample in data_samples:
            image_id = sample['img_id']
            annotations: list[dict] = []  # stays empty with an ann_file: compute_metrics takes them from there
            if self.truth is None:
                image, annotations = _panoptic_truth(sample, category_of)
            elif image_id in self.truth.imgs:
                image = self.truth.imgs[image_id]
            else:
                raise ConfigError(
                    f'{image_name(sample)} has the img_id {image_id}, which is no image of '
                    f"'{self.ann_file}': give the annotation file of the split that is evaluated."
                )
            detections = self._detections(sample, category_of, (image['height'], image['width']))
            self.results.append(dict(image=image, detections=detections, annotations=annotations))

    def true_segments(self, sample: dict) -> list[TrueSegment]:
        """The objects of ``ann_file``, or the things of ``gt_panoptic_seg``.

        Raises:
            DataError: A segmentation of the file is malformed.
        """
        category_of = self._category_of_label()
        label_of = {category: label for label, category in category_of.items()}
        if self.truth is None:
            image, annotations = _panoptic_truth(sample, category_of)
        else:
            image, annotations = self.truth.imgs[sample['img_id']], self.truth.imgToAnns[sample['img_id']]
        size = image['height'], image['width']
        return [
            TrueSegment(
                label_of[annotation['category_id']],
                encode_segmentation(annotation['segmentation'], size, image_name(sample)),
            )
            for annotation in annotations
            if not annotation.get('iscrowd') and annotation['category_id'] in label_of
        ]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate the detections of all images.

        Raises:
            ConfigError: An image was processed twice.
        """
        image_ids = [result['image']['id'] for result in results]
        if len(set(image_ids)) < len(image_ids):
            raise ConfigError(
                'InstanceAP got an image twice: give every image its own img_id, and use a sampler that '
                'shows each image once.'
            )
        category_of = self._category_of_label()
        truth = self._truth(results, category_of)
        if len(image_ids) < len(truth.imgs):
            print_log(
                f"InstanceAP evaluates {len(image_ids)} of the {len(truth.imgs)} images of '{self.ann_file}'.",
                logger='current',
            )
        detections = [detection for result in results for detection in result['detections']]
        metrics: dict[str, float] = {}
        of_class: dict[str, float] = {}
        # In the order of the categories' ids, as pycocotools averages them: the sums have the same last bit.
        labels = sorted(category_of, key=lambda label: category_of[label])
        classes, category_ids = [self.dataset_meta['classes'][k] for k in labels], [category_of[k] for k in labels]
        for kind in self.kinds:
            means, of_categories = average_precision(
                truth, detections, kind, image_ids, category_ids, self.max_dets, self.backend, self.lvis
            )
            metrics.update({f'{kind}_{name}': _percent(value) for name, value in means.items()})
            if self.classwise:
                present = of_categories['mAP'] > -1
                columns = {name.replace('m', '').replace('_', ''): 100 * v for name, v in of_categories.items()}
                log_class_table(f'{AP_KINDS[kind]} AP of each class', classes, columns, present)
                of_class.update(class_metrics(f'{kind}_mAP', classes, columns['AP'], present))
        return metrics | of_class

    def _category_of_label(self) -> dict[int, int]:
        """The category id of every label that is evaluated."""
        classes = require_meta(self.dataset_meta, 'classes')
        if self.truth is None and self.lvis:
            raise ConfigError('InstanceAP with lvis=True needs the annotation file of LVIS: give it as ann_file.')
        if self.truth is None:
            is_thing = require_meta(self.dataset_meta, 'isthing')
            return {label: label for label, thing in enumerate(is_thing) if thing}
        if self.dataset_meta.get('category_ids') is not None:
            mapping = {
                label: category
                for label, category in enumerate(self.dataset_meta['category_ids'])
                if category in self.truth.cats
            }
        else:
            id_of_name = {category['name']: category['id'] for category in self.truth.cats.values()}
            mapping = {label: id_of_name[name] for label, name in enumerate(classes) if name in id_of_name}
        if not mapping:
            raise ConfigError(
                f"No category of '{self.ann_file}' is a class of the data set: give the annotation file "
                "of this data set, or fix the metainfo's category_ids."
            )
        return mapping

    def _truth(self, results: Sequence[dict], category_of: dict[int, int]) -> COCO:
        """The ground truth: the file's, or one made of the annotations of ``results``."""
        if self.truth is not None:
            return self.truth
        categories = [
            dict(id=category, name=self.dataset_meta['classes'][label]) for label, category in category_of.items()
        ]
        return coco_from(
            [result['image'] for result in results],
            [annotation for result in results for annotation in result['annotations']],
            categories,
        )

    def _detections(self, sample: dict, category_of: dict[int, int], size: tuple[int, int]) -> list[dict]:
        """The predicted instances of one image ``size`` = (H, W) in COCO's format."""
        instances = require_result(sample, 'instance')
        labels, scores = instances['labels'].tolist(), instances['scores'].tolist()
        kept = [index for index, label in enumerate(labels) if label in category_of]
        detections = [
            dict(image_id=sample['img_id'], category_id=category_of[labels[index]], score=scores[index])
            for index in kept
        ]
        if self.kinds != ('bbox',):
            masks = as_rle(instances['masks'])
            for detection, index in zip(detections, kept):
                check_same_size(masks[index]['size'], size, sample)
                detection['segmentation'] = masks[index]
        if 'bbox' in self.kinds:
            boxes = instances['bboxes'].cpu().numpy().astype(np.float64)[kept]  # (n, 4) xyxy
            boxes[:, 2:] -= boxes[:, :2]  # xywh
            for detection, box in zip(detections, boxes.tolist()):
                detection['bbox'] = box
        return detections


def _percent(share: float) -> float:
    """In percent; -1, where there is nothing to measure, stays."""
    return 100 * share if share >= 0 else share


def show_dataset(metrics: Iterable[BaseMetric], dataset: Any) -> None:
    """Show the data set that they measure to the metrics that want to know it, see :meth:`InstanceAP.use_dataset`."""
    for metric in metrics:
        if hasattr(metric, 'use_dataset'):
            metric.use_dataset(dataset)


def _panoptic_truth(sample: dict, category_of: dict[int, int]) -> tuple[dict, list[dict]]:
    """The image and the annotations in COCO's format of the things in ``gt_panoptic_seg``."""
    element = require_field(
        sample,
        'gt_panoptic_seg',
        "add dict(type='LoadPanopticGroundTruth') to the test pipeline, or give InstanceAP an ann_file",
    )
    id_map = plane(element, 'id_map', sample)  # (H, W)
    image = dict(id=sample['img_id'], height=id_map.shape[0], width=id_map.shape[1])
    annotations = []
    for segment in element['segments_info']:
        if segment['label'] not in category_of:
            continue
        mask = encode_mask(id_map == segment['id'])
        annotations.append(
            dict(
                image_id=image['id'],
                category_id=category_of[segment['label']],
                iscrowd=int(segment['iscrowd']),
                segmentation=mask,
                area=float(areas_of([mask])[0]),
                bbox=box_of(mask),
            )
        )
    return image, annotations
