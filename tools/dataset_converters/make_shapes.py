"""Write the `shapes` data set: drawn scenes with panoptic and instance annotations in COCO's formats."""

import argparse

from mask2former.apis.cli import run_tool
from mask2former.data_tools.arguments import add_drawing_arguments, parse_drawing
from mask2former.data_tools.shapes import generate_shapes


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_drawing_arguments(parser, [192], 'images', 'side, or height and width, of the images')
    parser.add_argument('--num-train', type=int, default=1600, help='training images')
    parser.add_argument('--num-val', type=int, default=200, help='validation images')
    return parse_drawing(parser)


def main() -> None:
    args = parse_args()
    written = generate_shapes(
        args.out_dir,
        num_train=args.num_train,
        num_val=args.num_val,
        size=args.size,
        seed=args.seed,
        num_workers=args.num_workers,
    )
    if written:
        print(f'{args.out_dir} has {args.num_train} images for training and {args.num_val} for validation.')
        print('Train on them: python tools/train.py configs/shapes/mask2former_efficientnet-lite0_shapes-panoptic.py')


if __name__ == '__main__':
    run_tool(main)
