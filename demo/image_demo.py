"""Segment images: python demo/image_demo.py IMAGE_OR_DIR CONFIG CHECKPOINT [--out-dir D] [--score-thr T] ..."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from mask2former.apis.cli import add_tile_arguments, run_tool
from mask2former.errors import DataError
from mask2former.formats.files import check_output, write_text

if TYPE_CHECKING:
    from mask2former.apis import SegInferencer


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Segment images. For each one, a picture (.jpg), the results (.json) and, of a model that gives '
        'panoptic results, the map of segments (.png, R + 256 G + 65536 B is the id) are written.'
    )
    parser.add_argument('image', help='image file, or a folder of images')
    parser.add_argument('config', help='config file, or name of a published model')
    parser.add_argument('checkpoint', help='checkpoint of any format, address, or name of a published model')
    parser.add_argument('--out-dir', default='outputs', help='where results go (default: %(default)s)')
    parser.add_argument('--device', help="such as 'cpu' or 'cuda:1'; default: the GPU if there is one")
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='instances with lower scores are left out (default: %(default)s)'
    )
    parser.add_argument(
        '--tta', action='store_true', help='test-time augmentation: tta_pipeline of the config, else flips, and scales'
    )
    add_tile_arguments(parser)
    parser.add_argument(
        '--bands',
        type=int,
        nargs='+',
        metavar='N',
        help='of images of many bands, the three that pictures show as red, green and blue, or one, from 0 (default: '
        'visualizer.bands of the config, or the first)',
    )
    parser.add_argument('--no-png', action='store_true', help='write no maps of segments')
    return parser.parse_args()


def process(inferencer: SegInferencer, image: str, stem: Path, with_png: bool) -> str:
    """Segment one image and write its files; returns what was found, in a line."""
    from PIL import Image

    from mask2former.apis import summarize, write_id_map

    [sample] = inferencer(image)
    result = inferencer.to_json(sample)
    Image.fromarray(inferencer.visualize(image, sample)).save(f'{stem}.jpg', quality=95)
    if with_png and 'pred_panoptic_seg' in sample:
        write_id_map(sample, f'{stem}.png')
        result['id_map'] = f'{stem.name}.png'
    write_text(f'{stem}.json', json.dumps(result) + '\n')
    return summarize(result)


def main() -> None:
    args = parse_args()
    check_output(args.out_dir, is_folder=True)
    from mask2former.apis import SegInferencer, list_images, output_stems

    inferencer = SegInferencer(
        args.config,
        args.checkpoint,
        device=args.device,
        score_thr=args.score_thr,
        tta=args.tta,
        tile=args.tile,
        overlap=args.overlap,
        bands=args.bands,
    )
    images = list_images(args.image, inferencer.suffixes) if Path(args.image).is_dir() else [args.image]
    out_dir = Path(args.out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    failed = 0
    for image, stem in zip(tqdm(images, disable=len(images) == 1), output_stems(images, out_dir)):
        try:
            line = process(inferencer, image, stem, not args.no_png)
        except (FileNotFoundError, DataError) as error:
            failed += 1
            line = f'skipped: {error}'
        tqdm.write(f'{Path(image).name}: {line}')
    print(f'{len(images) - failed} of {len(images)} done; results are in {out_dir}.')
    raise SystemExit(1 if failed else 0)


if __name__ == '__main__':
    run_tool(main)
