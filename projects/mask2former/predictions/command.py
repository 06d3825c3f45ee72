"""Predict with a trained model: mask2former predict IMAGES RUN [CHECKPOINT] [--out DIR] [--format F ...]"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mask2former.apis.cli import add_amp_arguments, add_tile_arguments, amp_dtype
from mask2former.errors import ConfigError, MissingFileError
from mask2former.formats.files import check_output, write_json, write_text
from mask2former.progress import ProgressBar

if TYPE_CHECKING:
    from .prediction import Prediction, Segment
    from .predictor import Predictor

FORMATS = ('picture', 'coco', 'panoptic', 'labelme', 'cvat', 'label-studio')


def parser() -> argparse.ArgumentParser:
    """Of the command."""
    result = argparse.ArgumentParser(prog='mask2former predict', description='Predict images with a trained model.')
    result.add_argument('images', metavar='IMAGES', help='image file, or folder of images')
    result.add_argument('run', metavar='RUN', help='folder of a training, config, or name of a published model')
    result.add_argument('checkpoint', nargs='?', help='default: the best one of the folder')
    result.add_argument('--out', default='outputs', metavar='DIR', help='default: %(default)s')
    result.add_argument('--format', nargs='+', choices=FORMATS, default=['picture', 'coco'], help='what is written')
    result.add_argument(
        '--task', choices=['panoptic', 'instance', 'semantic'], help='which results, where the model gives several'
    )
    result.add_argument(
        '--score-thr', type=float, default=0.3, help='least score of an instance, in 0 .. 1 (default: %(default)s)'
    )
    add_tile_arguments(result)
    add_amp_arguments(result, 'results are made of its outputs')
    result.add_argument('--device', help="such as 'cpu' or 'cuda'; default: the GPU if there is one")
    result.add_argument('--json', action='store_true', help='print a JSON object for each image, and nothing else')
    return result


def main() -> None:
    """Run the command; the exit code is 1 if an image was left out."""
    args = parser().parse_args()
    logging.basicConfig(format='%(message)s', stream=sys.stderr)
    folder, out = Path(args.images), Path(args.out)
    if out.resolve() == (folder if folder.is_dir() else folder.parent).resolve():
        raise ConfigError(f"Results in '{out}' could overwrite the images there: give another folder as --out.")
    if '://' not in args.images and not folder.exists():
        raise MissingFileError(f"There is no image or folder '{args.images}'.")
    check_output(out, is_folder=True)
    from mask2former.apis import list_images, output_stems

    from .exchange import cvat, label_studio_interface
    from .loading import load

    predictor = load(
        args.run,
        args.checkpoint,
        task=args.task,
        device=args.device,
        score_thr=args.score_thr,
        tile=args.tile,
        overlap=args.overlap,
        amp_dtype=amp_dtype(args),
    )
    if 'panoptic' in args.format and (args.task or (*predictor.tasks, '')[0]) == 'instance':
        raise ConfigError(
            'Instances may overlap, so they are no panoptic map: leave out --format panoptic'
            + (', or choose --task panoptic.' if 'panoptic' in predictor.tasks else '.')
        )
    images = list_images(folder, predictor.inferencer.suffixes) if folder.is_dir() else [args.images]
    out.mkdir(parents=True, exist_ok=True)
    stems = output_stems(images, out)
    rows, xml, tasks, done, segments = [], [], [], 0, 0
    for number, image in enumerate(ProgressBar(images, disable=args.json or len(images) == 1)):
        for prediction in predictor.stream([image]):
            done += 1
            segments += len(prediction.segments)
            _write(prediction, stems[number], args.format)
            if 'coco' in args.format:
                rows += prediction.to_coco(number)
            if 'cvat' in args.format:
                xml.append((number, prediction.name, prediction.size, prediction.shapes()))
            if 'label-studio' in args.format:
                tasks += prediction.to_label_studio()
            if args.json:
                print(
                    json.dumps(dict(image=str(image), segments=[_describe(s) for s in prediction.segments])), flush=True
                )
    if 'coco' in args.format:
        write_json(out / 'results.json', rows)
        write_json(
            out / 'images.json', [dict(id=number, file_name=Path(image).name) for number, image in enumerate(images)]
        )
    if 'cvat' in args.format:
        write_text(out / 'annotations.xml', cvat(xml))
    if 'label-studio' in args.format:
        write_json(out / 'label_studio.json', tasks)
        write_text(out / 'label_studio.xml', label_studio_interface(_colors(predictor)))
    if not args.json:
        print(f'{done} of {len(images)} done, {segments} segments found; results are in {out}.')
        if done and not segments:
            print('Nothing was found: a lower --score-thr shows less sure instances; the model may need more training.')
    sys.exit(0 if done == len(images) else 1)


def _write(prediction: Prediction, stem: Path, formats: list[str]) -> None:
    if 'picture' in formats:
        prediction.save(f'{stem}.jpg')
    if 'panoptic' in formats:
        infos = prediction.to_panoptic_png(f'{stem}.png')
        write_json(f'{stem}_segments.json', infos)
        prediction.to_geotiff(f'{stem}_segments.tif')
    if 'labelme' in formats:
        prediction.to_labelme(f'{stem}.json')


def _colors(predictor: Predictor) -> dict[str, tuple[int, int, int]]:
    from mask2former.visualization.class_table import ClassTable

    table = ClassTable(predictor.inferencer.dataset_meta)
    return {name: table.color(label) for label, name in enumerate(predictor.classes)}


def _describe(segment: Segment) -> dict:
    return dict(
        id=segment.id,
        label=segment.label,
        score=segment.score,
        area=segment.area,
        box=segment.box,
        isthing=segment.isthing,
    )
