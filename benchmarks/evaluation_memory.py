"""Resident memory of an evaluation: panoptic quality, average precision and mIoU of many images, without a model.

    python -m benchmarks.evaluation_memory --images 5000

The truth of an image is a map of rectangles, the prediction the same map a little moved: as a panoptic and a semantic
map, and as 100 instances with scores. Metrics keep sums of each image, and masks run-length encoded.
"""

import argparse
import copy
from pathlib import Path

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.evaluator import BaseMetric
from mmengine.structures import InstanceData, PixelData

from mask2former.apis.cli import run_tool
from mask2former.evaluation import InstanceAP, PanopticQuality, SemanticIoU
from mask2former.formats.rle import encode_mask

from .common import positive, resident_mib, write_json

SIZE = 480, 640
SEGMENTS = 11  # of an image: the mean of COCO's panoptic files
INSTANCES = 100  # predicted in an image
THINGS, STUFF = 80, 53


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=positive, default=5000, help='their number (default: 5000)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the values')
    args = parser.parse_args()
    meta = dict(
        classes=tuple(f'class {i}' for i in range(THINGS + STUFF)),
        isthing=(True,) * THINGS + (False,) * STUFF,
        category_ids=tuple(range(1, THINGS + STUFF + 1)),
    )
    metrics: list[BaseMetric] = [PanopticQuality(), InstanceAP(), SemanticIoU()]
    for metric in metrics:
        metric.dataset_meta = meta
    rng = np.random.default_rng(0)
    resident = [resident_mib()]
    for number in range(args.images):
        sample = make_sample(number, rng).to_dict()
        for metric in metrics:
            metric.process(None, [sample])
        if (number + 1) % max(1, args.images // 10) == 0:
            resident.append(resident_mib())
            print(f'after {number + 1} images: {resident[-1]:.0f} MiB', flush=True)
    values = {key: value for metric in metrics for key, value in metric.evaluate(args.images).items()}
    resident.append(resident_mib())
    print(f'after the metrics: {resident[-1]:.0f} MiB')
    print(', '.join(f'{key} {value:.1f}' for key, value in values.items()))
    if args.json:
        write_json(args.json, dict(images=args.images, resident=resident))


def make_sample(number: int, rng: np.random.Generator) -> DetDataSample:
    """An image's truth and prediction."""
    id_map = np.zeros(SIZE, dtype=np.int32)
    segments = []
    for id_ in range(1, SEGMENTS + 1):
        top, left = rng.integers(0, SIZE[0] - 60), rng.integers(0, SIZE[1] - 80)
        id_map[top : top + rng.integers(20, 200), left : left + rng.integers(20, 250)] = id_
        label = int(rng.integers(THINGS + STUFF))
        segments.append(dict(id=id_, label=label, isthing=label < THINGS, iscrowd=False))
    segments = [segment for segment in segments if (id_map == segment['id']).any()]
    found = np.roll(id_map, (3, 5), axis=(0, 1))
    label_of = np.full(SEGMENTS + 1, -1, dtype=np.int64)
    for segment in segments:
        label_of[segment['id']] = segment['label']
    things = [segment for segment in segments if segment['isthing']] or segments[:1]
    encoded = [encode_mask(found == thing['id']) for thing in things]
    masks = [copy.deepcopy(encoded[index % len(things)]) for index in range(INSTANCES)]
    for mask in masks:
        mask['counts'] = bytes(bytearray(mask['counts']))  # each has memory of its own
    sample = DetDataSample(metainfo=dict(img_id=number, img_path=f'{number}.jpg', ori_shape=SIZE))
    sample.gt_panoptic_seg = PixelData(id_map=torch.from_numpy(id_map[None]), metainfo=dict(segments_info=segments))
    sample.pred_panoptic_seg = PixelData(
        id_map=torch.from_numpy(found[None]),
        metainfo=dict(segments_info=[dict(segment, score=1.0) for segment in segments]),
    )
    sample.gt_sem_seg = PixelData(
        sem_seg=torch.from_numpy(label_of[id_map][None].astype(np.int16)), metainfo=dict(ignore_index=-1)
    )
    sample.pred_sem_seg = PixelData(sem_seg=torch.from_numpy(np.maximum(label_of[found], 0)[None]))
    sample.pred_instances = InstanceData(
        labels=torch.tensor([things[index % len(things)]['label'] for index in range(INSTANCES)]),
        scores=torch.from_numpy(rng.random(INSTANCES)),
        bboxes=torch.zeros(INSTANCES, 4),
        masks=masks,
    )
    return sample


if __name__ == '__main__':
    run_tool(main)
