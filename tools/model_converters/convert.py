"""Convert a checkpoint between formats:
python tools/model_converters/convert.py SRC DST --to {mask2former,transformers,detectron2,mmdet,eomt} [--config C]"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from mask2former.apis.cli import add_json_argument, run_tool, words_aside
from mask2former.checkpoints.zoo import note_license
from mask2former.errors import CheckpointError, MissingFileError
from mask2former.formats.files import check_output

if TYPE_CHECKING:
    from mmengine.config import Config

    from mask2former.checkpoints.convert import Checkpoint

FORMATS = ('detectron2', 'eomt', 'mask2former', 'mmdet', 'transformers')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Convert a checkpoint. The format of the source is recognised: detectron2 (.pkl, .pth), mmdet and '
        'mmseg (.pth), transformers (.safetensors, .bin, a folder with config.json), tue-mps/eomt (.bin), mask2former '
        '(.pth, .safetensors).'
    )
    parser.add_argument('source', metavar='SRC', help='file or folder, address, or name of a published model')
    parser.add_argument(
        'target',
        metavar='DST',
        help='.pth, .pkl (detectron2), .safetensors (mask2former), .bin (eomt), or a folder (transformers)',
    )
    parser.add_argument('--to', required=True, choices=FORMATS, help='format to write')
    parser.add_argument(
        '--config',
        metavar='C',
        help='config that the weights must fit; the names of the classes are taken from its data set, and mmdet names '
        'the weights of a model of videos in its own way',
    )
    parser.add_argument(
        '--base',
        metavar='DINOV3',
        help="file, folder or address of the DINOv3 whose weights are added to the differences of tue-mps/eomt's files",
    )
    parser.add_argument(
        '--ignore-unknown', action='store_true', help='leave out weights that no Mask2Former has, instead of refusing'
    )
    add_json_argument(parser)
    return parser.parse_args()


def apply_config(checkpoint: Checkpoint, config: Config, source: str) -> None:
    """See that the weights fit the config's model, and take the classes of its data set and whether it is of videos.

    Raises:
        CheckpointError: If they do not fit.
    """
    from mask2former.checkpoints.fit import check_fit
    from mask2former.datasets import config_metainfo
    from mask2former.models import VideoMask2Former
    from mask2former.registry import MODELS

    metainfo = config_metainfo(config)
    model = MODELS.build(dict(config.model, metainfo=metainfo))
    check_fit(model, checkpoint.state, source)
    if checkpoint.report.architecture.num_heads != config.model.head.get('num_heads', 8):
        raise CheckpointError(
            f"'{source}' does not fit the model: its attention heads are "
            f'{checkpoint.report.architecture.num_heads}; give the config that it was trained with.'
        )
    checkpoint.meta['dataset_meta'] = metainfo
    checkpoint.meta['of_videos'] = isinstance(model, VideoMask2Former)


def main() -> None:
    args = parse_args()
    from mmengine.config import Config

    from mask2former.checkpoints.backbones import read_backbone
    from mask2former.checkpoints.convert import read_checkpoint
    from mask2former.checkpoints.differences import LICENSE
    from mask2former.checkpoints.fetch import find_checkpoint
    from mask2former.checkpoints.write import check_ending, write_checkpoint

    check_ending(args.target, args.to)
    check_output(args.target, is_folder=not Path(args.target).suffix)
    source = find_checkpoint(args.source)
    if Path(args.target).exists() and Path(args.target).resolve() == Path(source).resolve():
        raise CheckpointError(f"'{args.target}' is the source itself: give another name.")
    base = None if args.base is None else read_backbone(args.base)[0]
    checkpoint = read_checkpoint(source, ignore_unknown=args.ignore_unknown, base=base)
    if base is not None:
        checkpoint.meta.setdefault('license', LICENSE)
    license = note_license(checkpoint.meta, args.source)
    if args.config is not None:
        if not Path(args.config).is_file():
            raise MissingFileError(f"There is no config '{args.config}': see configs/ for those that there are.")
        apply_config(checkpoint, Config.fromfile(args.config), str(source))
    with words_aside(args.json):
        report = write_checkpoint(checkpoint, args.target, args.to)
        print(report)
        if args.to == 'transformers' and checkpoint.meta.get('of_videos'):
            print('transformers has no Mask2Former of videos: to it these are the weights of the model of images.')
        print(license)
        print(f'Written to {args.target}.')
    if args.json:
        known = checkpoint.meta.get('license')
        print(json.dumps({'file': args.target, 'from': report.source, 'to': args.to, 'license': known}))


if __name__ == '__main__':
    run_tool(main)
