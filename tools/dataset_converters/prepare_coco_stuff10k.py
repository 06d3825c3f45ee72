"""Write the PNG files of COCO-Stuff-10k (171 classes) from its MATLAB files, for semantic segmentation.

Reads, of https://github.com/nightrome/cocostuff10k (v1.1, or v1.0, which needs `pip install h5py`), below ROOT:
  imageLists/{train,test}.txt, images/*.jpg, annotations/*.mat
Writes there:
  annotations_detectron2/{train,test}/*.png    0 to 170, 255 is void
  images_detectron2/{train,test}/*.jpg         links, or copies where the file system has none

Example: python tools/dataset_converters/prepare_coco_stuff10k.py data/coco/coco_stuff_10k
An interrupted run resumes where it stopped.
"""

from mask2former.apis.cli import run_tool
from mask2former.data_tools.arguments import make_parser
from mask2former.data_tools.official.coco_stuff10k import SPLITS, convert_coco_stuff10k


def main() -> None:
    args = make_parser(__doc__, 'data/coco/coco_stuff_10k', SPLITS).parse_args()
    print(*convert_coco_stuff10k(args.root, args.splits, args.jobs), sep='\n')


if __name__ == '__main__':
    run_tool(main)
