"""Write the panoptic and instance files of ADE20K with 150 classes.

The semantic task needs nothing: the official PNG files are read as they are.

Reads, of http://sceneparsing.csail.mit.edu (ADEChallengeData2016.zip and annotations_instance.tar), below ROOT:
  images/{training,validation}/*.jpg
  annotations/{training,validation}/*.png             classes 1 to 150, 0 is void
  annotations_instance/{training,validation}/*.png    red: class 1 to 100, green: number of the instance
Writes there:
  ade20k_panoptic_{train,val}.json and ade20k_panoptic_{train,val}/*.png
  ade20k_instance_{train,val}.json

Example: python tools/dataset_converters/prepare_ade20k.py data/ade/ADEChallengeData2016 --tasks panoptic
An interrupted run resumes where it stopped.
"""

from mask2former.apis.cli import run_tool
from mask2former.data_tools.arguments import make_parser
from mask2former.data_tools.official.ade20k import FOLDERS, TASKS, convert_ade20k


def main() -> None:
    arguments = make_parser(__doc__, 'data/ade/ADEChallengeData2016', tuple(FOLDERS))
    arguments.add_argument('--tasks', nargs='+', choices=TASKS, default=list(TASKS), help='default: both')
    args = arguments.parse_args()
    print(*convert_ade20k(args.root, args.splits, args.tasks, args.jobs), sep='\n')


if __name__ == '__main__':
    run_tool(main)
