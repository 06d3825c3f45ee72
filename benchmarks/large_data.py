"""Seconds and memory that annotation files of COCO's size take: to open them, and in a training's workers.

    python -m benchmarks.large_data --workers 4 --peer --json large_data.json

Two files are drawn at random, with as many images, segments and points of polygons as COCO's train2017 has by default;
images are not needed, as none is read. Each file is opened in a process of its own by this project's data set (with
--peer by mmdet's, too), and all of its items are then fetched by workers as a training has them. "resident" is what one
process holds; "together" is the sum over parent and workers, in which shared memory counts once (PSS, Linux).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from mask2former.apis.cli import run_tool
from mask2former.formats.files import write_text

from .common import positive, write_json

CATEGORIES = 80
SEGMENTS, INSTANCES = 11.2, 7.3  # of an image, the mean: panoptic_train2017.json and instances_train2017.json
POINTS = 26  # of an instance's polygon, the mean
SIZE = 480, 640


def main() -> None:
    """Draw the files, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=positive, default=118_287, help='images of a file (default: 118287)')
    parser.add_argument('--workers', type=positive, default=4, help='workers (default: 4)')
    parser.add_argument('--peer', action='store_true', help="measure mmdet's data sets, too")
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the results')
    parser.add_argument('--measure', nargs=3, metavar=('NAME', 'FORM', 'FILE'), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        name, form, file = args.measure
        print(json.dumps(measure(name, form, file, args.workers)))
        return
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for form in ('panoptic', 'instance'):
            path = Path(folder) / f'{form}.json'
            draw(path, form, args.images)
            for name in ['ours', *(['mmdet'] if args.peer else [])]:
                row = dict(name=name, form=form, images=args.images, file_mb=round(path.stat().st_size / 1e6))
                command = [sys.executable, '-m', __spec__.name, '--workers', str(args.workers), '--measure']
                out = subprocess.run([*command, name, form, str(path)], check=True, stdout=subprocess.PIPE, text=True)
                results.append(row | json.loads(out.stdout.splitlines()[-1]))
                print(', '.join(f'{key} {value}' for key, value in results[-1].items()), flush=True)
            path.unlink()
    if args.json:
        write_json(args.json, results)


def draw(path: Path, form: str, num_images: int) -> None:
    """Write an annotation file of random segments."""
    rng = np.random.default_rng(0)
    height, width = SIZE
    images = [dict(id=i, file_name=f'{i:012}.jpg', height=height, width=width) for i in range(num_images)]
    annotations: list[dict] = []
    for image in images:
        count = int(rng.poisson(SEGMENTS if form == 'panoptic' else INSTANCES))
        boxes = rng.integers(1, 240, (count, 4)).tolist()
        common = [
            dict(category_id=int(category), iscrowd=0, bbox=box, area=box[2] * box[3])
            for category, box in zip(rng.integers(1, CATEGORIES + 1, count), boxes)
        ]
        if form == 'panoptic':
            segments = [dict(id=i, **segment) for i, segment in enumerate(common, 1)]
            annotations.append(dict(image_id=image['id'], file_name=f'{image["id"]:012}.png', segments_info=segments))
        else:
            polygons = rng.uniform(0, 480, (count, 2 * POINTS)).round(2).tolist()
            annotations += [
                dict(id=len(annotations) + i, image_id=image['id'], segmentation=[polygon], **segment)
                for i, (segment, polygon) in enumerate(zip(common, polygons))
            ]
    categories = [dict(id=i, name=f'class {i}', isthing=1) for i in range(1, CATEGORIES + 1)]
    write_text(path, json.dumps(dict(images=images, annotations=annotations, categories=categories)))


def measure(name: str, form: str, path: str, workers: int) -> dict[str, Any]:
    """Open a file in this process, and fetch all of its items by workers."""
    import psutil
    from mmengine.registry import DATASETS, DefaultScope
    from torch.utils.data import DataLoader

    kinds = dict(
        ours=dict(panoptic='CocoPanopticFormat', instance='CocoInstanceFormat'),
        mmdet=dict(panoptic='CocoPanopticDataset', instance='CocoDataset'),
    )
    classes = tuple(f'class {i}' for i in range(1, CATEGORIES + 1))
    metainfo = dict(classes=classes)
    if (name, form) == ('mmdet', 'panoptic'):
        metainfo |= dict(thing_classes=classes, stuff_classes=())
    me = psutil.Process()
    scope = 'mmdet' if name == 'mmdet' else 'mask2former'
    with DefaultScope.overwrite_default_scope(scope):
        before, start, start_cpu = me.memory_info().rss, time.perf_counter(), time.process_time()
        dataset = DATASETS.build(
            dict(
                type=f'{scope}.{kinds[name][form]}',
                ann_file=path,
                data_prefix=dict(img='img/', seg='seg/') if form == 'panoptic' else dict(img='img/'),
                metainfo=metainfo,
                pipeline=[],
            )
        )
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
    resident = me.memory_info().rss - before
    loader = DataLoader(
        dataset, batch_size=16, shuffle=True, num_workers=workers, collate_fn=len, persistent_workers=True
    )
    total = sum(loader)
    together = sum(process.memory_full_info().pss for process in [me, *me.children()])
    assert total == len(dataset)
    return dict(
        open_seconds=round(seconds, 1),
        cpu_seconds=round(cpu_seconds, 1),
        resident_mb=round(resident / 1e6),
        workers=workers,
        together_mb=round(together / 1e6),
    )


if __name__ == '__main__':
    run_tool(main)
