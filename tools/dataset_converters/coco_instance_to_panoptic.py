"""Convert annotations in COCO's instance format (polygons or RLE, crowds too) to its panoptic format.

Reads a JSON file, as CVAT, Label Studio, Roboflow and others write it, and the folder of its images. All categories are
things unless --stuff names them. Where masks overlap, the smaller one lies on top, and crowds lie below all others.
Pixels without annotation are void, or of the class of --background.

Writes OUT/{train,val}/ with the images, OUT/annotations/panoptic_{train,val}.json with folders of PNG files of the same
names, and instances_{train,val}.json with the annotations of the things as they were. An interrupted run resumes where
it stopped.

  python tools/dataset_converters/coco_instance_to_panoptic.py all.json images data/mine --background other
  python tools/dataset_converters/coco_instance_to_panoptic.py train.json train data/mine --split train
  python tools/dataset_converters/coco_instance_to_panoptic.py val.json val data/mine --split val
"""

from pathlib import Path

from mask2former.apis.cli import run_tool
from mask2former.data_tools.arguments import add_layout_arguments, make_parser
from mask2former.data_tools.custom.coco_instances import CocoMeaning, as_classes, read_file, read_scene
from mask2former.data_tools.custom.layout import make_samples, write_layout


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument('annotations', help="JSON file in COCO's instance format")
    parser.add_argument('images', type=Path, help='folder of the images that it names')
    add_layout_arguments(parser)
    parser.add_argument('--stuff', nargs='+', default=[], metavar='NAME', help='categories that are stuff')
    args = parser.parse_args()

    categories, sources = read_file(args.annotations, args.images)
    classes = as_classes(categories, args.stuff, args.annotations)
    stuff = tuple(entry['id'] for entry in classes if not entry['isthing'])
    paths = [source.image for source in sources.values()]
    samples = make_samples(args, paths, args.images, list(sources.values()), [[path] for path in paths], list(sources))
    print(
        write_layout(
            samples,
            read_scene,
            CocoMeaning(stuff),
            classes,
            args.out,
            background=args.background,
            copy=args.copy,
            jobs=args.jobs,
        )
    )


if __name__ == '__main__':
    run_tool(main)
