"""Samples a second of a config's training pipeline and of mmdet's, on the same panoptic files.

    python -m benchmarks.data_pipeline --workers 0 1 2 --repeats 5 --json data.json
    python -m benchmarks.data_pipeline CONFIG --data-root data/coco_panoptic_200 --samples 50

The config's pipeline must have LargeScaleJitter. mmdet's is that of its mask2former_r50_8xb2-lsj-50e_coco-panoptic.py
with the same flips, sizes and ratios. From the same seeds both flip, resize and crop alike; they take turns, each with
one thread in a process. First it is checked, on unresized images, that both give the same pixels and segments.

"samples" is up to the collated sample; "batches" goes on to what the model is given: a normalised, padded float32 batch
and boolean masks of all segments, things and stuff, formed by the data preprocessor (and by mmdet's head) on the CPU.
"""

import argparse
import json
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import mmdet
import numpy as np
import torch
from mmdet.models.utils import preprocess_panoptic_gt
from mmdet.registry import DATASETS as MMDET_DATASETS
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader, Subset

from mask2former.apis.cli import run_tool
from mask2former.errors import DataError
from mask2former.models import SegDataPreprocessor
from mask2former.registry import DATASETS

from .common import positive, spread, write_json

NAME = 'mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'
OUR_CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'coco' / 'panoptic' / NAME
MMDET_CONFIG = Path(mmdet.__file__).parent / '.mim' / 'configs' / 'mask2former' / NAME


@dataclass
class Side:
    """One of the two: its data set, the images to use of it, and the way from a collated batch to the model's input."""

    dataset: BaseDataset
    indices: list[int]
    to_batch: Callable[[dict], tuple[torch.Tensor, list]]  # (B, 3, H, W), and B times labels (N,) and masks (N, H, W)

    def samples(self) -> Iterator[dict]:
        """Samples from seeds of their own, so that both sides augment alike."""
        for seed, index in enumerate(self.indices):
            np.random.seed(seed)
            yield self.dataset[index]


def build(config: str, data_root: str, num_samples: int | None, plain: bool = False) -> dict[str, Side]:
    """Both sides with the same images in the same order.

    Args:
        config: Our config.
        data_root: Folder of the data, laid out as the config says.
        num_samples: How many images; by default all.
        plain: Whether to leave images at their size, for the check.
    """
    cfg = Config.fromfile(config).train_dataloader.dataset
    cfg.data_root = data_root
    jitter = next((step for step in cfg.pipeline if step.type == 'LargeScaleJitter'), None)
    if jitter is None:
        raise DataError(f"The training pipeline of '{config}' has no LargeScaleJitter; give a config which has.")
    if plain:
        longest = max(
            max(image['height'], image['width'])
            for image in json.loads((Path(data_root) / cfg.ann_file).read_text())['images']
        )
        side = -(-longest // 32) * 32  # a multiple of 32, to which the preprocessors pad
        jitter.update(scale=(longest, longest), crop_size=(side, side), ratio_range=(1.0, 1.0))
    with DefaultScope.overwrite_default_scope('mask2former'):
        ours = DATASETS.build(cfg)
    preprocessor = SegDataPreprocessor()

    def our_batch(data: dict) -> tuple[torch.Tensor, list]:
        data = preprocessor(data, training=True)
        return data['inputs'], [(s.gt_segments.labels, s.gt_segments.masks) for s in data['data_samples']]

    theirs, mmdet_batch = build_mmdet(cfg, jitter, ours.metainfo)
    places = [{dataset.get_data_info(i)['img_id']: i for i in range(len(dataset))} for dataset in (ours, theirs)]
    images = [image for image in places[0] if image in places[1]][:num_samples]
    return dict(
        ours=Side(ours, [places[0][image] for image in images], our_batch),
        mmdet=Side(theirs, [places[1][image] for image in images], mmdet_batch),
    )


def build_mmdet(cfg: Config, jitter: Config, metainfo: dict) -> tuple[BaseDataset, Callable]:
    """mmdet's data set over the files of ``cfg``, with the sizes of ``jitter``, and its way to a batch."""
    isthing = metainfo['isthing']
    if list(isthing) != sorted(isthing, reverse=True):
        raise DataError(f"'{cfg.ann_file}' has stuff before things, which mmdet cannot read; give another data set.")
    things, stuff = (
        [name for name, thing in zip(metainfo['classes'], isthing) if thing == kind] for kind in (True, False)
    )
    config = Config.fromfile(str(MMDET_CONFIG))
    theirs = config.train_dataloader.dataset
    theirs.update(
        data_root=cfg.data_root,
        ann_file=cfg.ann_file,
        data_prefix=cfg.data_prefix,
        metainfo=dict(classes=(*things, *stuff), thing_classes=tuple(things), stuff_classes=tuple(stuff)),
    )
    size = tuple(jitter.crop_size)
    flip = next((step for step in cfg.pipeline if step.type == 'RandomFlip'), dict(prob=0.0))
    for step in theirs.pipeline:
        if step.type == 'RandomFlip':
            step.update(flip)
        if step.type == 'RandomResize':
            step.update(scale=tuple(jitter.get('scale', size)), ratio_range=tuple(jitter.ratio_range))
        if step.type == 'RandomCrop':
            step.update(crop_size=size)
    config.data_preprocessor.batch_augments[0].size = size[::-1]
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = MMDET_DATASETS.build(theirs)
        preprocessor = MMDET_MODELS.build(config.data_preprocessor)

    def batch(data: dict) -> tuple[torch.Tensor, list]:
        data = preprocessor(data, training=True)
        return data['inputs'], [
            preprocess_panoptic_gt(
                s.gt_instances.labels, s.gt_instances.masks, s.gt_sem_seg.sem_seg, len(things), len(stuff)
            )
            for s in data['data_samples']
        ]

    return dataset, batch


def check_equal(sides: dict[str, Side]) -> int:
    """Check, on unresized images, that both sides give the same pixels and the same segments.

    Returns:
        int: The number of images, those of the longest side.
    """
    checked = 0
    for ours, theirs in zip(sides['ours'].samples(), sides['mmdet'].samples()):
        path, (height, width) = ours['data_samples'].img_path, theirs['data_samples'].img_shape[:2]
        if tuple(theirs['data_samples'].ori_shape[:2]) != (height, width):
            continue
        if not torch.equal(ours['inputs'][:, :height, :width].float(), theirs['inputs'].float()):
            raise DataError(f"The two pipelines give different pixels of '{path}'.")
        segments = []
        for name, sample in dict(ours=ours, mmdet=theirs).items():
            _, [(labels, masks)] = sides[name].to_batch(pseudo_collate([sample]))
            masks = masks[:, :height, :width].bool()
            segments.append(
                sorted((int(label), mask.numpy().tobytes()) for label, mask in zip(labels, masks) if mask.any())
            )
        if segments[0] != segments[1]:
            raise DataError(f"The two pipelines give different segments of '{path}'.")
        checked += 1
    if not checked:
        raise DataError(
            'None of the images has the longest side of the data set, so none could be checked; give more --samples.'
        )
    return checked


def run_samples(side: Side) -> int:
    """Load all samples in this process."""
    return sum(1 for _ in side.samples())


def run_batches(side: Side) -> int:
    """Load all samples in this process and make batches of one, as two need not fit in a small machine's cache."""
    return sum(len(side.to_batch(pseudo_collate([sample]))[1]) for sample in side.samples())


def worker_run(side: Side, workers: int, batch_size: int) -> Callable[[Side], int]:
    """Load all samples through ``workers`` processes, which stay for the next run."""
    loader = DataLoader(
        Subset(side.dataset, side.indices),
        batch_size,
        num_workers=workers,
        collate_fn=pseudo_collate,
        persistent_workers=True,
    )
    return lambda side: sum(len(data['inputs']) for data in loader)


def compare(sides: dict[str, Side], runs: dict[str, Callable[[Side], int]], repeats: int) -> dict:
    """Time the runs in turn.

    Returns:
        dict: For each side its samples a second, ``dict(median, min, max)``, and the ``ratio`` of the medians.
    """
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats + 1):  # the first is for warming up
        for name in (list(sides), list(sides)[::-1])[repeat % 2]:
            start = time.perf_counter()
            count = runs[name](sides[name])
            rates[name].append(count / (time.perf_counter() - start))
    result = {name: spread(r[1:]) for name, r in rates.items()}
    return dict(**result, ratio=result['ours']['median'] / result['mmdet']['median'])


def split_time(side: Side, repeats: int) -> dict[str, float]:
    """Milliseconds of each step for a sample, medians of the repeats; the preprocessor's includes the masks."""
    times = []
    for _ in range(repeats + 1):
        spent: dict[str, float] = {}
        for seed, index in enumerate(side.indices):
            np.random.seed(seed)
            start = time.perf_counter()
            results = side.dataset.get_data_info(index)
            marks = [('read item', time.perf_counter())]
            for transform in side.dataset.pipeline.transforms:
                results = transform(results)
                marks.append((type(transform).__name__, time.perf_counter()))
            side.to_batch(pseudo_collate([results]))
            marks.append(('data preprocessor', time.perf_counter()))
            for name, end in marks:
                spent[name] = spent.get(name, 0) + (end - start) * 1e3 / len(side.indices)
                start = end
        times.append(spent)
    return {name: median(spent[name] for spent in times[1:]) for name in times[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', default=str(OUR_CONFIG), help='default: R50 on COCO panoptic')
    parser.add_argument('--data-root', default='data/coco_panoptic_200', help='default: %(default)s')
    parser.add_argument('--samples', type=positive, help='how many images; default: all')
    parser.add_argument('--workers', type=int, nargs='+', default=[0], help='0 is this process; default: 0')
    parser.add_argument('--batch-size', type=positive, default=2, help='with workers; default: %(default)s')
    parser.add_argument('--repeats', type=positive, default=5, help='default: %(default)s')
    parser.add_argument('--json', help='write the figures into this file')
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)

    sides = build(args.config, args.data_root, args.samples)
    checked = check_equal(build(args.config, args.data_root, args.samples, plain=True))
    print(f'{checked} images: equal pixels and segments on both sides')
    report: dict = dict(images=len(sides['ours'].indices), checked=checked)
    for workers in args.workers:
        if workers:
            runs = {name: worker_run(side, workers, args.batch_size) for name, side in sides.items()}
            report[f'samples, {workers} workers'] = compare(sides, runs, args.repeats)
        else:
            report['samples, this process'] = compare(sides, dict.fromkeys(sides, run_samples), args.repeats)
            report['batches, this process'] = compare(sides, dict.fromkeys(sides, run_batches), args.repeats)
    print(f'{"samples a second":24} {"ours":>22} {"mmdet":>22}  ratio')
    for name, row in report.items():
        if isinstance(row, dict):
            cells = ['{median:6.1f} ({min:.1f}-{max:.1f})'.format(**row[side]) for side in sides]
            print(f'{name:24} {cells[0]:>22} {cells[1]:>22}  {row["ratio"]:.2f}')
    for name, side in sides.items():
        sizes = [len(pickle.dumps(sample, protocol=5)) for sample in side.samples()]
        report[f'{name}: bytes'] = sum(sizes) / len(sizes)
        report[f'{name}: ms'] = split_time(side, args.repeats)
        print(
            f'{name}: {report[f"{name}: bytes"] / 2**20:.1f} MiB a sample; ms:',
            ', '.join(f'{step} {spent:.2f}' for step, spent in report[f'{name}: ms'].items()),
        )
    if args.json:
        write_json(args.json, report)


if __name__ == '__main__':
    run_tool(main)
