"""COCO's average precision over objects in memory, by pycocotools' ``COCOeval``."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def read_coco(ann_file: str) -> COCO:
    """Read a COCO instance JSON file.

    The annotations get new ids from 1 on: ``COCOeval`` takes the id 0 for 'no match' and drops annotations whose id
    is given twice, and nothing else here uses the ids.

    Raises:
        FileNotFoundError: The file is not there.
    """
    if not Path(ann_file).is_file():
        raise FileNotFoundError(f"The instance annotations '{ann_file}' are not there: mend InstanceAP's ann_file, or "
                                'leave it out to take the ground truth from gt_panoptic_seg.')
    with redirect_stdout(io.StringIO()):
        dataset = COCO(ann_file).dataset
    return coco_from(dataset['images'], dataset.get('annotations', []), dataset['categories'])


def coco_from(images: Sequence[dict], annotations: Sequence[dict], categories: Sequence[dict]) -> COCO:
    """Return a ``COCO`` object of the given lists, in COCO's format; annotations are numbered from 1 on."""
    coco = COCO()
    numbered = [dict(annotation, id=number) for number, annotation in enumerate(annotations, start=1)]
    coco.dataset = dict(images=list(images), annotations=numbered, categories=list(categories))
    with redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def average_precision(
    truth: COCO,
    detections: Sequence[dict],
    kind: str,
    image_ids: Sequence,
    category_ids: Sequence[int],
    max_dets: Sequence[int],
) -> dict[str, float]:
    """Evaluate detections with ``COCOeval``.

    The summary is taken from ``eval['precision']``, since ``COCOeval.summarize`` knows only 100 detections an image.

    Args:
        truth (COCO): Ground truth.
        detections (Sequence[dict]): ``image_id, category_id, score`` and ``segmentation`` (run-length dict) or
            ``bbox`` (x, y, w, h in pixels), of images and categories of ``truth``. May be empty.
        kind (str): ``'segm'`` or ``'bbox'``.
        image_ids (Sequence): The images to evaluate.
        category_ids (Sequence[int]): The categories to evaluate.
        max_dets (Sequence[int]): Limits of detections an image and category; the largest one counts.

    Returns:
        dict[str, float]: ``mAP, mAP_50, mAP_75, mAP_s, mAP_m, mAP_l`` in [0, 1], and -1 (pycocotools' convention)
        where the ground truth has no object of that size.
    """
    if kind == 'segm':
        # One call a mask: given a list of more than 255, pycocotools overflows.
        areas = [mask_utils.area(d['segmentation']) for d in detections]
    else:
        areas = [d['bbox'][2] * d['bbox'][3] for d in detections]
    found = coco_from(
        truth.dataset['images'], [dict(d, area=area, iscrowd=0) for d, area in zip(detections, areas)],
        truth.dataset['categories'])
    evaluation = COCOeval(truth, found, iouType=kind)
    evaluation.params.imgIds = list(image_ids)
    evaluation.params.catIds = list(category_ids)
    evaluation.params.maxDets = list(max_dets)
    with redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()

    params = evaluation.params
    precision = evaluation.eval['precision'][..., -1]  # (IoU thresholds, recalls, categories, areas)
    areas_of = {name: place for place, name in enumerate(params.areaRngLbl)}

    def mean(threshold: float | None, area: str) -> float:
        rows = slice(None) if threshold is None else np.isclose(params.iouThrs, threshold)
        values = precision[rows][..., areas_of[area]]
        values = values[values > -1]
        return float(values.mean()) if values.size else -1.0

    return dict(
        mAP=mean(None, 'all'), mAP_50=mean(0.5, 'all'), mAP_75=mean(0.75, 'all'),
        mAP_s=mean(None, 'small'), mAP_m=mean(None, 'medium'), mAP_l=mean(None, 'large'))
