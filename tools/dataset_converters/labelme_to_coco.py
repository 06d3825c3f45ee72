"""Convert annotations of LabelMe to COCO's panoptic and instance formats.

Reads a folder of LabelMe's JSON files, with all folders below it: polygons, rectangles (oriented ones, too), circles
and masks. Points and lines have no area and are left out. Shapes with the same label and group_id are one instance. An
image is looked for where its file says, if that is below the folder's parent, then in --images, then beside the file,
then in the file itself.

Labels are things unless --stuff names them. Later shapes lie over earlier ones, as in LabelMe's own tools;
--smaller-on-top does it by size instead. Pixels without a shape are void, or of the class of --background.

Writes OUT/{train,val}/ with the images, OUT/annotations/panoptic_{train,val}.json with folders of PNG files of the same
names, and instances_{train,val}.json. An interrupted run resumes where it stopped.

  python tools/dataset_converters/labelme_to_coco.py my_labels data/mine --stuff road sky --background other
"""

from pathlib import Path

from mask2former.apis.cli import run_tool
from mask2former.data_tools.arguments import add_layout_arguments, make_parser
from mask2former.data_tools.custom.labelme import (
    LabelMeaning,
    find_annotations,
    find_image,
    image_name,
    label_classes,
    read_header,
    read_scene,
)
from mask2former.data_tools.custom.layout import make_samples, write_layout


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument('annotations', type=Path, help="folder of LabelMe's JSON files")
    add_layout_arguments(parser)
    parser.add_argument('--stuff', nargs='+', default=[], metavar='LABEL', help='labels that are stuff')
    parser.add_argument(
        '--labels',
        metavar='TXT',
        help='file with the labels in the order of the classes, one a line; '
        'without it, all labels in alphabetical order',
    )
    parser.add_argument(
        '--void',
        nargs='*',
        default=['__ignore__'],
        metavar='LABEL',
        help='labels that mean nothing (default: __ignore__)',
    )
    parser.add_argument('--images', metavar='DIR', help='where the images are, if not where the JSON files say')
    parser.add_argument('--smaller-on-top', action='store_true', help='smaller shapes lie over larger ones')
    args = parser.parse_args()

    paths = find_annotations(args.annotations)
    contents = {path: read_header(path) for path in paths}
    around = args.annotations.absolute().parent
    sources = [find_image(path, content, args.images, around) for path, content in contents.items()]
    classes = label_classes(contents, args.labels, args.stuff, args.void)
    names = [image_name(path, content) for path, content in contents.items()]
    category_ids = {entry['name']: entry['id'] for entry in classes} | dict.fromkeys(args.void)
    files = [[file for file in (source.annotation, source.image) if file] for source in sources]
    samples = make_samples(args, names, args.annotations, sources, files)
    print(
        write_layout(
            samples,
            read_scene,
            LabelMeaning(category_ids, args.smaller_on_top),
            classes,
            args.out,
            background=args.background,
            copy=args.copy,
            jobs=args.jobs,
        )
    )


if __name__ == '__main__':
    run_tool(main)
