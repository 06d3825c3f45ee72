"""Write the `moving_shapes` data set: drawn videos with their tracks in YouTube-VIS's format."""

import argparse

from mask2former.apis.cli import run_tool
from mask2former.data_tools.arguments import add_drawing_arguments, parse_drawing
from mask2former.data_tools.shapes import generate_moving_shapes


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    size_help = 'side, or height and width, of the frames; a third of the videos have them swapped'
    add_drawing_arguments(parser, [192, 320], 'videos', size_help)
    parser.add_argument('--num-train', type=int, default=200, help='training videos')
    parser.add_argument('--num-val', type=int, default=40, help='validation videos')
    parser.add_argument(
        '--frames', type=int, nargs=2, default=[4, 40], metavar='N', help='least and largest number of frames'
    )
    return parse_drawing(parser)


def main() -> None:
    args = parse_args()
    written = generate_moving_shapes(
        args.out_dir,
        num_train=args.num_train,
        num_val=args.num_val,
        size=args.size,
        frames=tuple(args.frames),
        seed=args.seed,
        num_workers=args.num_workers,
    )
    if written:
        print(f'{args.out_dir} has {args.num_train} videos for training and {args.num_val} for validation.')


if __name__ == '__main__':
    run_tool(main)
