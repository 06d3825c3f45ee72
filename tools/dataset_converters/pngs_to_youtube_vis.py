"""Convert videos that have a PNG of ids for each frame to YouTube-VIS's format, which YouTubeVISFormat reads.

A folder with images is a video; its PNG files have the same path below the other folder. A pixel's value is its object,
the same in all frames, and 0 is nothing:

  --thing NAME      all objects are of this class, as in DAVIS, whose 255 is void
  --divisor 1000    the value is class * 1000 + n, as in KITTI MOTS and MOTSChallenge, whose 10000 is void

A frame without a PNG is not annotated.

  python tools/dataset_converters/pngs_to_youtube_vis.py DAVIS/JPEGImages/480p DAVIS/Annotations/480p data/davis \\
      --thing object --void 255
  python tools/dataset_converters/pngs_to_youtube_vis.py training/image_02 instances data/mots --divisor 1000 \\
      --classes 1=car:thing 2=pedestrian:thing --void 10000
"""

from pathlib import Path

from mask2former.apis.cli import run_tool
from mask2former.data_tools.arguments import add_split_arguments, make_parser
from mask2former.data_tools.custom.classes import add_class, id_of, parse_classes
from mask2former.data_tools.custom.splits import assign_splits
from mask2former.data_tools.custom.video_pngs import Ids, find_videos, write_videos
from mask2former.errors import DataError


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument('frames', type=Path, help='folder of the videos, each a folder of its frames')
    parser.add_argument('masks', type=Path, help='folder of the PNG files')
    add_split_arguments(parser, 'videos')
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument('--thing', metavar='NAME', help='class of all objects')
    group.add_argument('--divisor', type=int, help='a value is class * DIVISOR + n')
    parser.add_argument(
        '--classes', nargs='+', default=[], metavar='ID=NAME', help='with --divisor: ID=NAME:thing, or one JSON file'
    )
    parser.add_argument('--void', nargs='*', type=int, default=[], metavar='ID', help='values that mean nothing')
    parser.add_argument('--img-suffix', metavar='END', help='end of the names of the frames')
    parser.add_argument(
        '--png-suffix', metavar='END', default='.png', help='what the PNG files have in its place (default: .png)'
    )
    args = parser.parse_args()
    if args.divisor is not None and (args.divisor < 1 or not args.classes):
        parser.error('--divisor must be over 0, and needs --classes')
    if args.thing and args.classes:
        parser.error('--thing is the only class: leave out --classes')

    if args.frames.resolve() in (args.out.resolve(), *args.out.resolve().parents):
        raise DataError(f"The folder to write, '{args.out}', lies in '{args.frames}', which is read; choose another.")
    classes = add_class([], args.thing, isthing=True) if args.thing else parse_classes(args.classes)
    ids = Ids(
        thing=id_of(classes, args.thing) if args.thing else None,
        divisor=args.divisor,
        classes=frozenset(entry['id'] for entry in classes),
        void=frozenset(args.void),
    )
    videos = find_videos(args.frames, args.masks, args.img_suffix, args.png_suffix)
    names = [video.name for video in videos]
    splits = assign_splits(names, val_share=args.val_share, seed=args.seed, val_list=args.val_list, split=args.split)
    categories = [{key: entry[key] for key in ('id', 'name')} for entry in classes]
    print(write_videos(videos, splits, ids, categories, args.out, copy=args.copy, jobs=args.jobs))


if __name__ == '__main__':
    run_tool(main)
