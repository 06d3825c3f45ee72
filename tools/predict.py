"""Predict very many images: python tools/predict.py CONFIG CHECKPOINT IMAGES --out DIR [--shard 2/8] [--png]

Each process writes DIR/results-2-of-8.jsonl, a line for each image. Started again, it goes on where it stopped, however
that was. --merge puts the files of all processes into DIR/results.jsonl.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mask2former.apis.cli import add_tile_arguments, run_tool
from mask2former.errors import ConfigError, DataError
from mask2former.formats.files import check_output, inside, leaves_folder
from mask2former.predictions.shards import ResultLog, Shard, find_images, merge, parse_shard
from mask2former.progress import ProgressBar

if TYPE_CHECKING:
    from mask2former.apis import SegInferencer


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Predict very many images, in several processes or computers at a time if need be. Results are '
        'lines of JSON, one for each image, as image_demo.py writes them into files.'
    )
    parser.add_argument('config', help='config file, or name of a published model')
    parser.add_argument('checkpoint', help='checkpoint of any format, address, or name of a published model')
    parser.add_argument('images', help='folder, of which all folders within are searched, or text file of paths')
    parser.add_argument('--out', required=True, metavar='DIR', help='where results go')
    parser.add_argument(
        '--shard', type=parse_shard, default=Shard(), metavar='I/N', help='the I-th of N parts of the images, from 1/N'
    )
    parser.add_argument('--png', action='store_true', help='write maps of panoptic segments, too, to DIR/maps')
    parser.add_argument('--merge', action='store_true', help='merge what all shards wrote, and predict nothing')
    parser.add_argument('--device', help="such as 'cpu' or 'cuda:1'; default: the GPU if there is one")
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='instances with lower scores are left out (default: %(default)s)'
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    add_tile_arguments(parser)
    return parser.parse_args()


def header_of(args: argparse.Namespace, names: list[str]) -> dict:
    """What the results depend on, as far as it can be said without reading images."""
    from mask2former.checkpoints.fetch import locate

    listed = hashlib.sha256('\n'.join(names).encode('utf-8', 'surrogateescape')).hexdigest()
    address = locate(args.checkpoint)
    local = '://' not in address and Path(address).is_file()
    return dict(
        config=str(args.config),
        checkpoint=str(args.checkpoint),
        bytes=Path(address).stat().st_size if local else None,
        score_thr=args.score_thr,
        tta=args.tta,
        tile=args.tile,
        overlap=args.overlap,
        images=len(names),
        list=listed[:16],
        shards=args.shard.parts,
        **(dict(png=True) if args.png else {}),
    )


def predict(inferencer: SegInferencer, path: Path, name: str, maps: Path | None) -> dict:
    """The result of an image as plain values; an image that cannot be read has an ``error`` instead."""
    try:
        [sample] = inferencer(path)
    except (FileNotFoundError, DataError, ConfigError) as error:
        return dict(error=str(error))
    result = inferencer.to_json(sample)
    del result['image']['path']  # the same results wherever the images are
    if maps is not None and 'pred_panoptic_seg' in sample:
        from mask2former.apis import write_id_map

        target = inside(maps, f'{name}.png')
        write_id_map(sample, target)
        result['id_map'] = target.relative_to(maps.parent).as_posix()
    return result


def main() -> None:
    args = parse_args()
    out = Path(args.out)
    if args.merge:
        path, count = merge(out)
        print(f'{count} results are in {path}.')
        return
    from mask2former.apis.inferencer import IMG_EXTENSIONS, SegInferencer

    root, names = find_images(args.images, IMG_EXTENSIONS)
    if args.png and (outside := next((name for name in names if leaves_folder(name)), None)) is not None:
        raise ConfigError(f"--png needs images below the folder '{root}', where '{outside}' is not.")
    check_output(out, is_folder=True)
    mine = args.shard.of(names)
    with ResultLog(out / args.shard.file_name, header_of(args, names)) as log:
        todo = mine[log.done :]
        if log.done:
            print(f'{log.done} of {len(mine)} are there already.')
        failed = 0
        if todo:
            inferencer = SegInferencer(
                args.config,
                args.checkpoint,
                device=args.device,
                score_thr=args.score_thr,
                tta=args.tta,
                tile=args.tile,
                overlap=args.overlap,
            )
        for index, name in ProgressBar(todo, desc='predicting'):
            result = predict(inferencer, root / name, name, out / 'maps' if args.png else None)
            failed += 'error' in result
            log.append(dict(index=index, file_name=name, **result))
    print(f'{len(todo) - failed} of {len(todo)} predicted; results are in {log.path}.')
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    run_tool(main)
