"""COCO's average precision over objects in memory, by faster-coco-eval or by pycocotools' ``COCOeval``."""

import importlib.util
import io
from collections import defaultdict
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mask2former.errors import ConfigError, MissingFileError, MissingPackageError
from mask2former.formats.files import read_json
from mask2former.formats.rle import areas_of, box_of, encode_mask, encode_segmentation
from mask2former.garbage import no_garbage_collection

# Of faster-coco-eval: the same rules in C++, with equal results.
FAST, PLAIN = 'faster-coco-eval', 'pycocotools'
_NO_MASK = encode_mask(np.zeros((1, 1), dtype=bool))


def choose_backend(backend: str, kinds: Sequence[str]) -> str:
    """The evaluator to use, ``'faster-coco-eval'`` or ``'pycocotools'``.

    Args:
        backend: One of them, or ``'auto'``: the fast one where it is installed.
        kinds: ``'segm'``, ``'bbox'``, ``'boundary'``; only the fast one knows the last.

    Raises:
        ConfigError: There is no such evaluator, or it does not know a kind.
        MissingPackageError: faster-coco-eval is needed and not installed.
    """
    if backend not in ('auto', FAST, PLAIN):
        raise ConfigError(f"InstanceAP's backend is {backend!r}: give 'auto', '{FAST}' or '{PLAIN}'.")
    if backend == PLAIN and 'boundary' in kinds:
        raise ConfigError(f"'{PLAIN}' does not know the metric 'boundary': give InstanceAP backend='{FAST}'.")
    installed = importlib.util.find_spec('faster_coco_eval') is not None
    if not installed and (backend == FAST or 'boundary' in kinds):
        raise MissingPackageError(f'InstanceAP needs the package {FAST} for this: pip install --no-deps {FAST}')
    if backend == 'auto':
        return FAST if installed else PLAIN
    return backend


def read_coco(ann_file: str) -> COCO:
    """Read a COCO instance JSON file.

    The annotations get new ids from 1 on: ``COCOeval`` takes the id 0 for 'no match' and drops annotations whose id
    is given twice, and nothing else here uses the ids. What else a training can do without is added: ``iscrowd``, and
    ``area`` and ``bbox`` of the mask.

    Raises:
        MissingFileError: The file is not there.
        DataError: It is no JSON object, or a segmentation whose area or box is needed is malformed.
    """
    if not Path(ann_file).is_file():
        raise MissingFileError(
            f"The instance annotations '{ann_file}' are not there: fix InstanceAP's ann_file, or "
            'leave it out to take the ground truth from gt_panoptic_seg.'
        )
    content = read_json(ann_file)
    images = {image['id']: image for image in content['images']}
    annotations = [_completed(annotation, images, ann_file) for annotation in content.get('annotations', [])]
    return coco_from(content['images'], annotations, content['categories'])


def _completed(annotation: dict, images: dict, ann_file: str) -> dict:
    """The annotation with all that ``COCOeval`` asks for."""
    annotation = {'iscrowd': 0, **annotation}
    image = images.get(annotation['image_id'])
    if image and annotation.get('segmentation') and None in (annotation.get('area'), annotation.get('bbox')):
        rle = encode_segmentation(annotation['segmentation'], (image['height'], image['width']), ann_file)
        own = {key: value for key, value in annotation.items() if value is not None}
        annotation = {'area': float(areas_of([rle])[0]), 'bbox': box_of(rle), **own}
    return annotation


def coco_from(images: Sequence[dict], annotations: Sequence[dict], categories: Sequence[dict]) -> COCO:
    """A ``COCO`` object of the given lists, in COCO's format; annotations are numbered from 1 on."""
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
    backend: str,
    lvis: bool = False,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Evaluate detections by COCO's rules.

    The summary is taken from ``eval['precision']``, since ``COCOeval.summarize`` knows only 100 detections an image.

    Args:
        truth: Ground truth.
        detections: ``image_id, category_id, score`` and ``segmentation`` (run-length dict) or ``bbox`` (x, y, w, h in
            pixels), of images and categories of ``truth``. May be empty.
        kind: ``'segm'``, ``'bbox'`` or ``'boundary'``: the smaller one of mask IoU and boundary IoU (Cheng et al.,
            Boundary IoU, CVPR 2021; the boundary is 2 % of the image's diagonal wide).
        image_ids: The images to evaluate.
        category_ids: The categories to evaluate.
        max_dets: Limits of detections an image and category; the largest one counts.
        backend: ``'faster-coco-eval'`` or ``'pycocotools'``, see :func:`choose_backend`.
        lvis: Whether to evaluate by the rules of LVIS, whose images are not annotated with every category (Gupta et
            al., CVPR 2019); of an image only the best ``max(max_dets)`` detections count then. Fast only.

    Returns:
        The means ``mAP, mAP_50, mAP_75, mAP_s, mAP_m, mAP_l`` in [0, 1], and -1 (pycocotools' convention) where the
        ground truth has no object of that size; with ``lvis`` also ``mAP_r, mAP_c, mAP_f``: of the rare, common and
        frequent categories. And ``mAP, mAP_50, mAP_75`` of each category, ``(categories,)`` in the order of
        ``category_ids``, -1 where the ground truth has no object of it.
    """
    with no_garbage_collection(), redirect_stdout(io.StringIO()):
        evaluation = _set_up(truth, detections, kind, list(image_ids), max(max_dets), backend, lvis)
        evaluation.params.catIds = list(category_ids)
        evaluation.params.maxDets = list(max_dets)
        evaluation.evaluate()
        evaluation.accumulate()

    params = evaluation.params
    # (IoU thresholds, recalls, categories, areas)
    precision = np.ascontiguousarray(evaluation.eval['precision'])[..., -1]
    area_index = {name: index for index, name in enumerate(params.areaRngLbl)}

    def mean(threshold: float | None, area: str, categories: Sequence[int] | slice = slice(None)) -> float:
        rows = slice(None) if threshold is None else np.isclose(params.iouThrs, threshold)
        values = precision[rows][..., area_index[area]][..., categories]
        values = values[values > -1]
        return float(values.mean()) if values.size else -1.0

    groups = (
        {
            f'mAP_{name}': mean(None, 'all', categories)
            for name, categories in zip(params.imgCountLbl, evaluation.freq_groups)
        }
        if lvis
        else {}
    )
    means = dict(
        mAP=mean(None, 'all'),
        mAP_50=mean(0.5, 'all'),
        mAP_75=mean(0.75, 'all'),
        mAP_s=mean(None, 'small'),
        mAP_m=mean(None, 'medium'),
        mAP_l=mean(None, 'large'),
        **groups,
    )
    of_categories = {
        name: np.array([mean(threshold, 'all', [index]) for index in range(precision.shape[2])])
        for name, threshold in (('mAP', None), ('mAP_50', 0.5), ('mAP_75', 0.75))
    }
    return means, of_categories


def _set_up(
    truth: COCO, detections: Sequence[dict], kind: str, image_ids: list, limit: int, backend: str, lvis: bool
) -> Any:
    """The evaluator of the backend; ``limit`` is how many detections of an image count with ``lvis``."""
    if kind == 'bbox':
        areas = [d['bbox'][2] * d['bbox'][3] for d in detections]
    else:
        areas = areas_of([d['segmentation'] for d in detections])
    detections = [dict(d, area=area, iscrowd=0) for d, area in zip(detections, areas)]
    if lvis:
        detections = _best_of_image(detections, limit)
    if backend == FAST:
        return _fast_evaluation(truth, detections, kind, image_ids, lvis)
    return _plain_evaluation(truth, detections, kind, image_ids)


def _best_of_image(detections: Sequence[dict], limit: int) -> list[dict]:
    """Keep the ``limit`` detections of the highest scores of each image; of equal ones the first."""
    of_image = defaultdict(list)
    for detection in detections:
        of_image[detection['image_id']].append(detection)
    return [d for found in of_image.values() for d in sorted(found, key=lambda d: -d['score'])[:limit]]


def _plain_evaluation(truth: COCO, detections: Sequence[dict], kind: str, image_ids: list) -> COCOeval:
    found = coco_from(truth.dataset['images'], detections, truth.dataset['categories'])
    evaluation = COCOeval(truth, found, iouType=kind)
    evaluation.params.imgIds = image_ids
    return evaluation


def _fast_evaluation(truth: COCO, detections: Sequence[dict], kind: str, image_ids: list, lvis: bool) -> Any:
    """Set up faster-coco-eval's evaluator on the images asked for, which get new ids: it takes integers only."""
    from faster_coco_eval import COCO as FastCOCO
    from faster_coco_eval import COCOeval_faster

    new_ids = {image_id: number for number, image_id in enumerate(sorted(image_ids), start=1)}
    images = [dict(truth.imgs[image_id], id=number) for image_id, number in new_ids.items()]
    if kind != 'bbox':
        # No IoU is asked of a detection where the image has no object of its category: its mask need not be decoded.
        pairs = {(a['image_id'], a['category_id']) for a in truth.dataset['annotations']}
        detections = [
            d if (d['image_id'], d['category_id']) in pairs else dict(d, segmentation=_NO_MASK) for d in detections
        ]
    sides = []
    for annotations in (truth.dataset['annotations'], detections):
        chosen = [annotation for annotation in annotations if annotation['image_id'] in new_ids]
        sides.append(
            FastCOCO(
                dict(
                    images=images,
                    categories=truth.dataset['categories'],
                    annotations=[
                        dict(annotation, id=number, image_id=new_ids[annotation['image_id']])
                        for number, annotation in enumerate(chosen, start=1)
                    ],
                )
            )
        )
    if kind == 'boundary':
        from .boundary_evaluation import BoundaryEvaluation

        evaluation = BoundaryEvaluation(*sides, iouType='segm', lvis_style=lvis)
    else:
        evaluation = COCOeval_faster(*sides, iouType=kind, lvis_style=lvis)
    evaluation.params.imgIds = list(new_ids.values())
    return evaluation
