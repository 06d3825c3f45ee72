"""Seconds that COCO's average precision takes: InstanceAP's evaluator and pycocotools, on the same detections.

    python -m benchmarks.average_precision --images 5000 --json ap.json
    python -m benchmarks.average_precision --ann-file data/coco/annotations/instances_val2017.json

The ground truth is the file's, its images repeated up to --images. The detections are made of its objects: moved,
grown or shrunk, some misnamed, some of other images. Both sides start from lists in memory; "pycocotools" is its usual
way, loadRes, evaluate, accumulate, summarize. They take turns, and it is checked that they agree. Mask2Former's
detections overlap more than those of a detector with non-maximum suppression, and so do these.
"""

import argparse
import copy
import gc
import io
import time
from contextlib import redirect_stdout
from pathlib import Path

import cv2
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mask2former.apis.cli import run_tool
from mask2former.errors import DataError, MissingFileError
from mask2former.evaluation.coco_average_precision import FAST, PLAIN, average_precision, coco_from
from mask2former.formats.rle import box_of, encode_mask

from .common import positive, spread, write_json

ANN_FILE = 'data/coco_panoptic_200/annotations/instances_train2017.json'
NAMES = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')  # the first of COCOeval.stats
OWN_SHARE, RIGHT_CLASS, VARIANTS = 0.6, 0.7, 6


def disturb(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move a mask (H, W) uint8 by about a twentieth of its size, and let it grow or shrink by up to 2 px."""
    side = np.sqrt(mask.sum()) / 20  # px
    moved = np.roll(mask, np.rint(rng.normal(0, side, size=2)).astype(int), axis=(0, 1))
    change = (cv2.erode, cv2.dilate)[int(rng.integers(2))]
    return change(moved, np.ones((3, 3), np.uint8), iterations=int(rng.integers(0, 3)))


def fit(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Cut or fill a mask to a size."""
    result = np.zeros((height, width), dtype=np.uint8)
    part = mask[:height, :width]
    result[: part.shape[0], : part.shape[1]] = part
    return result


def make_pools(source: COCO, rng: np.random.Generator) -> dict[int, tuple[list[dict], list[dict]]]:
    """For each image, detections without a score: of its own objects, and of others'."""
    everything = [annotation for annotation in source.anns.values() if not annotation['iscrowd']]
    if not everything:
        raise DataError('The ground truth has no object that is no crowd; give another --ann-file.')
    pools: dict[int, tuple[list[dict], list[dict]]] = {}
    for image_id, image in source.imgs.items():
        own = [a for a in source.imgToAnns[image_id] if not a['iscrowd']]
        others = [everything[int(place)] for place in rng.integers(len(everything), size=10 * VARIANTS)]
        pools[image_id] = [], []
        for pool, annotations in zip(pools[image_id], ([a for a in own for _ in range(VARIANTS)], others)):
            for annotation in annotations:
                mask = disturb(fit(source.annToMask(annotation), image['height'], image['width']), rng)
                if mask.any():
                    rle = encode_mask(mask)
                    category_id = annotation['category_id']
                    pool.append(dict(category_id=category_id, segmentation=rle, bbox=box_of(rle)))
    return pools


def make_case(ann_file: str, num_images: int, per_image: int) -> tuple[dict, list[dict]]:
    """Return ground truth in COCO's format and detections with ``segmentation`` and ``bbox``."""
    with redirect_stdout(io.StringIO()):
        source = COCO(ann_file)
    rng = np.random.default_rng(0)
    pools = make_pools(source, rng)
    categories = sorted(source.cats)
    sources = sorted(source.imgs)
    truth = dict(images=[], annotations=[], categories=source.dataset['categories'])
    detections = []
    for number in range(num_images):
        image_id = number + 1
        source_id = sources[number % len(sources)]
        truth['images'].append(dict(source.imgs[source_id], id=image_id))
        truth['annotations'] += [dict(a, image_id=image_id) for a in source.imgToAnns[source_id]]
        own, others = pools[source_id]
        for _ in range(per_image):
            is_own = own and (not others or rng.random() < OWN_SHARE)
            pool = own if is_own else others
            detection = dict(pool[int(rng.integers(len(pool)))], image_id=image_id)
            right = is_own and rng.random() < RIGHT_CLASS
            if not right:
                detection['category_id'] = categories[int(rng.integers(len(categories)))]
            detection['score'] = float(rng.beta(4, 2) if right else rng.beta(2, 4))
            detections.append(detection)
    return truth, detections


def run_ours(truth: COCO, detections: list[dict], kind: str) -> list[float]:
    result, _ = average_precision(truth, detections, kind, sorted(truth.imgs), sorted(truth.cats), (1, 10, 100), FAST)
    return [result[name] for name in NAMES]


def run_pycocotools(truth: COCO, detections: list[dict], kind: str) -> list[float]:
    with redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(detections), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[: len(NAMES)].tolist()


def compare(truth: dict, detections: list[dict], kind: str, repeats: int) -> dict:
    """Time both in turn.

    Returns:
        dict: For each side ``dict(median, min, max)`` in seconds, the ``ratio`` of the medians, ``mAP`` and the
        largest ``difference`` of the six numbers of a summary.
    """
    left_out = 'segmentation' if kind == 'bbox' else 'bbox'
    runs = {'ours': run_ours, PLAIN: run_pycocotools}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    results: dict[str, list[float]] = {}
    for repeat in range(repeats):
        for name in (list(runs), list(runs)[::-1])[repeat % 2]:
            # Both write into what they are given.
            content = copy.deepcopy(truth)
            fresh_truth = coco_from(content['images'], content['annotations'], content['categories'])
            fresh = [{key: value for key, value in d.items() if key != left_out} for d in detections]
            gc.collect()
            start = time.perf_counter()
            results[name] = runs[name](fresh_truth, fresh, kind)
            seconds[name].append(time.perf_counter() - start)
    report = {name: spread(s) for name, s in seconds.items()}
    difference = max(abs(a - b) for a, b in zip(*results.values()))
    if difference > 1e-9:
        raise DataError(f'The two evaluators differ by {difference} for {kind}.')
    return dict(
        **report,
        ratio=report[PLAIN]['median'] / report['ours']['median'],
        mAP=results['ours'][0],
        difference=difference,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ann-file', default=ANN_FILE, help='COCO instance JSON; default: %(default)s')
    parser.add_argument('--images', type=positive, default=1000, help='default: %(default)s')
    parser.add_argument('--detections', type=positive, default=100, help='of an image; default: %(default)s')
    parser.add_argument('--kinds', nargs='+', choices=['segm', 'bbox'], default=['segm', 'bbox'], help='default: both')
    parser.add_argument('--repeats', type=positive, default=1, help='default: %(default)s')
    parser.add_argument('--json', help='write the figures into this file')
    args = parser.parse_args()
    if not Path(args.ann_file).is_file():
        raise MissingFileError(f"The ground truth '{args.ann_file}' is not there: give --ann-file.")

    truth, detections = make_case(args.ann_file, args.images, args.detections)
    report = dict(
        images=len(truth['images']),
        annotations=len(truth['annotations']),
        detections=len(detections),
        repeats=args.repeats,
    )
    print(', '.join(f'{value} {name}' for name, value in report.items()))
    for kind in args.kinds:
        row = report[kind] = compare(truth, detections, kind, args.repeats)
        cells = ', '.join(
            f'{name} {row[name]["median"]:.2f} s ({row[name]["min"]:.2f}-{row[name]["max"]:.2f})'
            for name in ('ours', PLAIN)
        )
        print(
            f'{kind}: {cells}, ratio {row["ratio"]:.2f}, mAP {row["mAP"]:.4f}, difference {row["difference"]:.0e}',
            flush=True,
        )
    if args.json:
        write_json(args.json, report)


if __name__ == '__main__':
    run_tool(main)
