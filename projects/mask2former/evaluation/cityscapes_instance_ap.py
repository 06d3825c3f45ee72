"""Cityscapes' average precision of instance segmentation."""

import copy
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from mmengine.evaluator import BaseMetric

from mask2former.errors import ConfigError, DataError, MissingFileError, MissingPackageError
from mask2former.formats.rle import as_rle, box_of, decode_mask, encode_mask
from mask2former.registry import METRICS

from .cityscapes_names import frame_of, instance_ids_path
from .sample_fields import check_same_size, require_meta, require_result
from .tables import class_metrics, log_class_table
from .truth import TrueSegment


@METRICS.register_module()
class CityscapesInstanceAP(BaseMetric):
    """AP and AP50 of ``pred_instances`` by the rules of cityscapesscripts' ``evalInstanceLevelSemanticLabeling``.

    They are not COCO's (:class:`InstanceAP`): an unmatched detection mostly on void, on a group or on a tiny object is
    left out, a pair matches at an IoU *over* the threshold, and the precision is not made monotonous. The ground
    truth are the official ``instanceIds`` PNGs: in panoptic files caravans and trailers are void, while a detection
    of a car on them is wrong here. Pixels are counted image by image, from masks in memory; the curve and its area
    are cityscapesscripts' own functions.

    Args:
        gt_dir: Folder ``gtFine/{split}``. By default it is found from the ``img_path`` of an image in the official
            folders, ``leftImg8bit/{split}/{city}/``.
        classwise: Whether to print a table of every class, and to give ``AP/{class}`` as metrics, too.
        collect_device: ``'cpu'`` or ``'gpu'``, where results of several ranks meet.
        prefix: Put before each key with a slash.

    Returns of ``evaluate``: ``AP, AP50`` in percent, means over the classes that the ground truth holds, or -1 where
    it holds none.
    """

    default_prefix = 'cityscapes'
    predicted = 'pred_instances'

    def __init__(
        self,
        *,
        gt_dir: str | None = None,
        classwise: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if gt_dir is not None and not Path(gt_dir).is_dir():
            raise MissingFileError(f"The folder '{gt_dir}' is not there: fix CityscapesInstanceAP's gt_dir.")
        self.gt_dir = gt_dir
        self.classwise = classwise
        self.official = official_evaluation()
        self.official_args = copy.copy(self.official.args)
        self.official.setInstanceLabels(self.official_args)
        ids = {label.name: label.id for label in self.official.labels}
        self.label_ids = {name: ids[name] for name in self.official_args.instLabels}  # of the 8 classes
        self.void_ids = [label.id for label in self.official.labels if label.ignoreInEval and label.id >= 0]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count, for each image, the pixels that instances and detections share: ``(frame, matches)``.

        Raises:
            MissingFileError: There is no ``instanceIds`` PNG.
            DataError: A sample lacks its prediction, or the sizes differ.
        """
        classes = require_meta(self.dataset_meta, 'classes')
        if not set(classes) & set(self.label_ids):
            raise ConfigError(
                'No class of the data set is one of '
                f"Cityscapes' instance classes, {', '.join(self.label_ids)}: fix the metainfo's classes."
            )
        for sample in data_samples:
            instances = require_result(sample, 'instance')
            truth = read_instance_ids(instance_ids_path(sample['img_path'], self.gt_dir))  # (H, W)
            detections = []
            for label, score, mask in zip(
                instances['labels'].tolist(), instances['scores'].tolist(), as_rle(instances['masks'])
            ):
                check_same_size(mask['size'], truth.shape, sample)
                if classes[label] in self.label_ids:
                    detections.append((classes[label], score, mask))
            self.results.append((frame_of(sample['img_path']), self._match(truth, detections)))

    def _match(self, truth: np.ndarray, detections: Sequence[tuple[str, float, dict]]) -> dict:
        """What ``assignGt2Preds`` does, without the files, of the map (H, W) and (class, score, RLE mask)."""
        areas = np.bincount(truth.ravel())  # (largest id + 1,)
        instances: dict[str, list[dict]] = {name: [] for name in self.label_ids}
        name_of = {value: name for name, value in self.label_ids.items()}
        for number in np.flatnonzero(areas).tolist():
            name = name_of.get(number if number < 1000 else number // 1000)  # below 1000 it is a group
            if name is not None:
                # No distances are known: -1 and 0 are cityscapesscripts' values then.
                instances[name].append(
                    dict(instID=number, pixelCount=int(areas[number]), medDist=-1, distConf=0.0, matchedPred=[])
                )
        predictions: dict[str, list[dict]] = {name: [] for name in self.label_ids}
        for name, score, mask in detections:
            x, y, width, height = (int(value) for value in box_of(mask))
            box = slice(y, y + height), slice(x, x + width)
            shared = np.bincount(truth[box][decode_mask(mask)[box]], minlength=len(areas))  # pixels of each id
            area = int(shared.sum())
            if not area:
                continue
            matched = []
            for instance in instances[name]:
                count = int(shared[instance['instID']])
                if count:
                    matched.append(
                        dict(
                            {key: instance[key] for key in ('instID', 'pixelCount', 'medDist', 'distConf')},
                            intersection=count,
                        )
                    )
                    instance['matchedPred'].append(dict(pixelCount=area, confidence=score, intersection=count))
            void = sum(int(shared[number]) for number in self.void_ids if number < len(shared))
            predictions[name].append(dict(pixelCount=area, confidence=score, voidIntersection=void, matchedGt=matched))
        return dict(groundTruth=instances, prediction=predictions)

    def true_segments(self, sample: dict) -> list[TrueSegment]:
        """The objects of the ``instanceIds`` PNG; groups (ids below 1000) are none."""
        classes = require_meta(self.dataset_meta, 'classes')
        label_of = {id_: classes.index(name) for name, id_ in self.label_ids.items() if name in classes}
        truth = read_instance_ids(instance_ids_path(sample['img_path'], self.gt_dir))  # (H, W)
        return [
            TrueSegment(label_of[number // 1000], encode_mask(truth == number))
            for number in np.unique(truth[truth >= 1000]).tolist()
            if number // 1000 in label_of
        ]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Let cityscapesscripts evaluate the counts of all images.

        Raises:
            DataError: An image was processed twice.
        """
        matches = dict(results)
        if len(matches) < len(results):
            raise DataError('CityscapesInstanceAP got an image twice: use a sampler that shows each image once.')
        scores = self.official.evaluateMatches(matches, self.official_args)  # (1, 8 classes, 10 thresholds)
        if np.isnan(scores).all():
            return dict(AP=-1.0, AP50=-1.0)
        averages = self.official.computeAverages(scores, self.official_args)
        metrics = dict(AP=100 * float(averages['allAp']), AP50=100 * float(averages['allAp50%']))
        if self.classwise:
            rows = [averages['classes'][name] for name in self.label_ids]
            columns = dict(
                AP=np.array([100 * row['ap'] for row in rows]), AP50=np.array([100 * row['ap50%'] for row in rows])
            )
            classes, present = tuple(self.label_ids), ~np.isnan(columns['AP'])
            log_class_table("Cityscapes' AP of each class", classes, columns, present)
            metrics.update(class_metrics('AP', classes, columns['AP'], present))
        return metrics


def read_instance_ids(path: str) -> np.ndarray:
    """Read an ``instanceIds`` PNG: ``(H, W)`` int64, below 1000 a label id, from there on ``1000 * label id + number``.

    Raises:
        MissingFileError: There is no such file.
        DataError: It is no image of one channel.
    """
    if not Path(path).is_file():
        raise MissingFileError(
            f"Cityscapes' ground truth '{path}' is not there: unpack gtFine beside leftImg8bit, or "
            'fix the gt_dir of CityscapesInstanceAP.'
        )
    ids = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if ids is None or ids.ndim != 2:
        raise DataError(f"'{path}' is no PNG of one channel: get it again from gtFine.")
    return ids.astype(np.int64)


def official_evaluation() -> ModuleType:
    """The module of cityscapesscripts that evaluates instances.

    Raises:
        MissingPackageError: It is not installed.
    """
    try:
        from cityscapesscripts.evaluation import evalInstanceLevelSemanticLabeling
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f'CityscapesInstanceAP needs the package cityscapesscripts ({error}): '
            'pip install --no-deps cityscapesscripts pyquaternion'
        ) from None
    return evalInstanceLevelSemanticLabeling
