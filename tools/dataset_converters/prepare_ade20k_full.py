"""Write the label files of ADE20K with 847 classes, for semantic segmentation.

Reads, of the release ADE20K_2021_17_01 (https://groups.csail.mit.edu/vision/datasets/ADE20K/), below ROOT:
  images/ADE/{training,validation}/*/*/*.jpg and *_seg.png    object number: red // 10 * 256 + green
Writes there:
  images_detectron2/{training,validation}/*.jpg               shorter side 512 pixels at most
  annotations_detectron2/{training,validation}/*.tif          16 bit, 0 to 846, 65535 is void

Example: python tools/dataset_converters/prepare_ade20k_full.py data/ade/ADE20K_2021_17_01
An interrupted run resumes where it stopped.
"""

from mask2former.apis.cli import run_tool
from mask2former.data_tools.arguments import make_parser
from mask2former.data_tools.official.ade20k_full import SPLITS, convert_ade20k_full


def main() -> None:
    args = make_parser(__doc__, 'data/ade/ADE20K_2021_17_01', SPLITS).parse_args()
    print(*convert_ade20k_full(args.root, args.splits, args.jobs), sep='\n')


if __name__ == '__main__':
    run_tool(main)
