"""Write class-id PNG files from panoptic files in COCO's format: COCO's own, or those of any data set.

Semantic training and testing of this package read the panoptic files themselves (configs/_base_/datasets/
coco_semantic.py); this is for other tools, and for `SemanticPngFormat`.

Reads, of https://cocodataset.org (panoptic_annotations_trainval2017.zip), below ROOT:
  annotations/panoptic_{train,val}2017.json and annotations/panoptic_{train,val}2017/*.png
Writes there:
  panoptic_semseg_{train,val}2017/*.png     0 to 132 in the order of the file's categories, 255 is void
  panoptic_semseg_{train,val}2017.json      the classes and images, `ann_file` of `SemanticPngFormat`

Example: python tools/dataset_converters/prepare_coco_semantic.py data/coco --splits val
Another data set: python tools/dataset_converters/prepare_coco_semantic.py --files panoptic.json png_folder out_folder
An interrupted run resumes where it stopped.
"""

from pathlib import Path

from mask2former.apis.cli import run_tool
from mask2former.data_tools.arguments import make_parser
from mask2former.data_tools.official.coco_semantic import convert_coco_semantic


def main() -> None:
    arguments = make_parser(__doc__, 'data/coco', ('train', 'val'))
    arguments.add_argument('--files', nargs=3, metavar=('JSON', 'PNG_DIR', 'OUT'), help='these instead of ROOT')
    args = arguments.parse_args()
    root = Path(args.root)
    names = [f'panoptic_{split}2017' for split in args.splits]
    triples = [
        (
            root / 'annotations' / f'{name}.json',
            root / 'annotations' / name,
            root / name.replace('panoptic', 'panoptic_semseg'),
        )
        for name in names
    ]
    for json_path, png_dir, out in [args.files] if args.files else triples:
        print(*convert_coco_semantic(json_path, png_dir, out, args.jobs), sep='\n')


if __name__ == '__main__':
    run_tool(main)
