"""Write Cityscapes' panoptic files, for panoptic and instance segmentation. The semantic task needs none.

It does what `csCreatePanopticImgs` of cityscapesscripts does, by its own functions, in parallel.

Reads, of https://www.cityscapes-dataset.com (gtFine_trainvaltest.zip), below ROOT:
  gtFine/{train,val}/CITY/*_gtFine_instanceIds.png
Writes there:
  gtFine/cityscapes_panoptic_{train,val}.json and gtFine/cityscapes_panoptic_{train,val}/*.png

Example: python tools/dataset_converters/prepare_cityscapes.py data/cityscapes
Needs: pip install cityscapesscripts. An interrupted run resumes where it stopped.
"""

from mask2former.apis.cli import run_tool
from mask2former.data_tools.arguments import make_parser
from mask2former.data_tools.official.cityscapes import SPLITS, convert_cityscapes


def main() -> None:
    args = make_parser(__doc__, 'data/cityscapes', SPLITS).parse_args()
    print(*convert_cityscapes(args.root, args.splits, args.jobs), sep='\n')


if __name__ == '__main__':
    run_tool(main)
