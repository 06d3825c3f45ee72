"""Convert annotations that are PNG files to COCO's panoptic and instance formats.

Reads a folder of images and, in PNG files named after the images:

  --semantic DIR    class ids (grey or palette, 8 or 16 bit)
  --instances DIR   instance ids, 0 is nothing; their class is the one of --thing, or value // --divisor, or what
                    --semantic has below them (as in Pascal VOC)
  --mask-dirs DIR   a folder an image, STEM/*.png or STEM/masks/*.png, with a binary mask an instance of --thing

Things lie over stuff, smaller masks over larger ones. Class ids alone (--semantic) need no conversion:
SemanticPngFormat reads them.

Writes OUT/{train,val}/ with the images, OUT/annotations/panoptic_{train,val}.json with folders of PNG files of the same
names, and instances_{train,val}.json. An interrupted run resumes where it stopped.

  python tools/dataset_converters/pngs_to_panoptic.py stage1_train data/mine --mask-dirs stage1_train --thing nucleus \\
      --background tissue
  python tools/dataset_converters/pngs_to_panoptic.py images data/mine --semantic labels --instances objects \\
      --classes 0=road 1=sky 11=person:thing 13=car:thing --void 255
"""

from pathlib import Path

from mask2former.apis.cli import run_tool
from mask2former.data_tools.arguments import add_layout_arguments, make_parser
from mask2former.data_tools.custom.classes import add_class, id_of, parse_classes
from mask2former.data_tools.custom.layout import make_samples, write_layout
from mask2former.data_tools.custom.png_folders import Meaning, PngSource, find_images, find_masks, find_png, read_scene
from mask2former.errors import DataError


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument('images', type=Path, help='folder of the images, with all folders below it')
    add_layout_arguments(parser)
    parser.add_argument('--semantic', metavar='DIR', help='class-id PNG files')
    group = parser.add_mutually_exclusive_group()
    group.add_argument('--instances', metavar='DIR', help='instance-id PNG files')
    group.add_argument('--mask-dirs', metavar='DIR', help='folders of binary PNG files')
    parser.add_argument(
        '--classes',
        nargs='+',
        default=[],
        metavar='ID=NAME',
        help='ID=NAME for stuff, ID=NAME:thing '
        'for a thing, or one JSON file: a list of {"id", "name", "isthing"} and perhaps "color"',
    )
    parser.add_argument('--thing', metavar='NAME', help='class of all instances')
    parser.add_argument('--divisor', type=int, help='the instance PNG holds class * DIVISOR + n, as 1000 in Cityscapes')
    parser.add_argument(
        '--void', nargs='*', type=int, metavar='ID', help='class ids that are void (default: 255, unless it is a class)'
    )
    parser.add_argument('--img-suffix', metavar='END', help='end of the names of the images, such as _leftImg8bit.png')
    parser.add_argument(
        '--png-suffix',
        metavar='END',
        default='.png',
        help='what the PNG files have in its place (default: %(default)s)',
    )
    args = parser.parse_args()
    if not args.instances and not args.mask_dirs:
        raise DataError(
            "Class ids alone need no conversion: type='SemanticPngFormat' reads images and class-id PNG "
            'files (docs/datasets.md); give --instances or --mask-dirs to make a panoptic data set.'
        )
    if args.thing and args.divisor:
        parser.error('--thing and --divisor both say the class of the instances: leave one out')
    if args.mask_dirs and not args.thing:
        parser.error('--mask-dirs needs --thing, the class of the instances')
    if args.instances and not (args.thing or args.divisor or args.semantic):
        parser.error('--instances needs --thing, --divisor or --semantic, to know the classes of the instances')
    if not args.classes and (args.semantic or args.divisor):
        parser.error('the class ids of the PNG files need --classes')

    classes = parse_classes(args.classes) if args.classes else []
    for name, isthing in ((args.thing, True), (args.background, False)):
        if name:
            classes = add_class(classes, name, isthing)
    ids = {entry['id'] for entry in classes}
    if ids & set(args.void or ()):
        raise DataError(f'{sorted(ids & set(args.void))} are in --void, but are classes, too; correct one of them.')
    meaning = Meaning(
        isthing={entry['id']: bool(entry['isthing']) for entry in classes},
        thing=id_of(classes, args.thing) if args.thing else None,
        divisor=args.divisor,
        void=tuple(args.void) if args.void is not None else tuple({255} - ids),
    )

    paths = find_images(args.images, args.img_suffix)
    sources, files = [], []
    for path in paths:
        semantic, instances = (
            folder and find_png(folder, path, args.images, args.img_suffix, args.png_suffix)
            for folder in (args.semantic, args.instances)
        )
        masks = find_masks(args.mask_dirs, path, args.images, args.img_suffix) if args.mask_dirs else None
        sources.append(PngSource(path, semantic, instances, masks))
        files.append([file for file in (path, semantic, instances, *(masks or ())) if file])
    samples = make_samples(args, paths, args.images, sources, files)
    print(
        write_layout(
            samples, read_scene, meaning, classes, args.out, background=args.background, copy=args.copy, jobs=args.jobs
        )
    )


if __name__ == '__main__':
    run_tool(main)
